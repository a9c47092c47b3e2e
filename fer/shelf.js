// Keeps codes and keys of an instructor's classes in this browser, for those who ask for it, and tells the page.
const PLACE = "classmood.classes";

function read() {
  try {
    const kept = JSON.parse(localStorage.getItem(PLACE));
    return kept && typeof kept === "object" && !Array.isArray(kept) ? kept : {};
  } catch {
    return {};
  }
}

export default function ({ data, parentElement, setStateValue }) {
  const kept = read();
  const before = JSON.stringify(kept);
  if (data?.forget) delete kept[data.forget];
  if (data?.remember) kept[data.remember] = data.key;
  const now = JSON.stringify(kept);
  if (now !== before) localStorage.setItem(PLACE, now);
  if (parentElement.classmoodTold === now) return;
  parentElement.classmoodTold = now;
  setStateValue("kept", kept);
}
