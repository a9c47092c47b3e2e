// Keeps in this tab, and in no other, which class a student has joined; tells the page where it does not know.
// What it is told to keep is text that only the page understands; an empty one is forgotten.
const PLACE = "classmood.seat";

export default function ({ data, setStateValue }) {
  try {
    if (data?.keep) sessionStorage.setItem(PLACE, data.keep);
    else if (data?.keep === "") sessionStorage.removeItem(PLACE);
    else if (sessionStorage.getItem(PLACE)) setStateValue("seat", sessionStorage.getItem(PLACE));
  } catch {} // a browser that keeps nothing for anybody
}
