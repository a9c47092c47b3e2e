// Tells a visitor before START, in plain words, whether camera and network will do, and what to change if not.
// It asks for no permission and opens no camera: it reads what the browser says without asking.
const SIGNS = { good: "✓", doubtful: "!", bad: "✗" };
const GATHER_MS = 5000;

async function camera(otherwise) {
  if (!window.isSecureContext || !navigator.mediaDevices)
    return ["bad", `Browsers open the camera on https:// addresses only. Ask for such a link, or ${otherwise}.`];
  const devices = await navigator.mediaDevices.enumerateDevices();
  if (!devices.some((device) => device.kind === "videoinput"))
    return ["bad", `No camera was found. Plug one in and reload the page, or ${otherwise}.`];
  const permission = await navigator.permissions?.query({ name: "camera" }).catch(() => null);
  if (permission?.state === "denied")
    return ["bad", "This page may not use the camera. Click the sign beside the address, allow the camera, and reload."];
  if (permission?.state === "granted") return ["good", "The camera may be used."];
  return ["good", "A camera is there. Your browser asks for it after START: allow it."];
}

// Which kinds of addresses the browser finds for itself: host, srflx (by a STUN server), relay (by a TURN server).
async function addresses(iceServers) {
  const peer = new RTCPeerConnection({ iceServers });
  const found = new Set();
  try {
    peer.createDataChannel("preflight");
    const gathered = new Promise((done) => {
      peer.onicecandidate = ({ candidate }) => (candidate ? found.add(candidate.type) : done());
      setTimeout(done, GATHER_MS);
    });
    await peer.setLocalDescription(await peer.createOffer());
    await gathered;
  } finally {
    peer.close();
  }
  return found;
}

async function network(iceServers) {
  if (!window.RTCPeerConnection) return ["bad", "This browser cannot send video. Use a current Chrome, Edge, Firefox or Safari."];
  const found = await addresses(iceServers);
  const named = iceServers.flatMap((server) => server.urls).join(" ");
  if (found.size === 0)
    return ["bad", "This browser offers no way for video: an extension or a company's policy blocks WebRTC. Try another browser."];
  if (/turns?:/.test(named) && !found.has("relay"))
    return ["doubtful", "The server that relays video does not answer. If the connection fails, try a phone's hotspot."];
  if (/stuns?:/.test(named) && !found.has("srflx") && !found.has("relay"))
    return ["doubtful", "Your network seems to hold back video. If the connection fails, try a phone's hotspot."];
  return ["good", "Your network lets video out."];
}

export default function ({ data, parentElement }) {
  const list = parentElement.querySelector("ul");
  if (list.childElementCount) return;
  for (const check of [() => camera(data.otherwise), () => network(data.iceServers)]) {
    const line = list.appendChild(document.createElement("li"));
    line.textContent = "… checking";
    check()
      .catch(() => ["doubtful", "This could not be checked. Press START and see."])
      .then(([state, text]) => {
        line.dataset.state = state;
        line.textContent = `${SIGNS[state]} ${text}`;
      });
  }
}
