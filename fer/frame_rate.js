// Has the camera send as many pictures a second as the server can read. Chromium and Firefox leave pictures out; the
// camera goes on as it is. The stream is the one that preview.js has noted.
const FRAMES = 'iframe[title*="webrtc_streamer"]';

export default function ({ data, parentElement }) {
  const ask = () => {
    for (const frame of document.querySelectorAll(FRAMES)) {
      const stream = frame.contentWindow?.navigator?.mediaDevices?.classmoodStream;
      for (const track of stream?.getVideoTracks() ?? []) {
        const asked = track.getConstraints();
        if (track.readyState !== "live" || asked.frameRate?.max === data.fps) continue;
        track.applyConstraints({ ...asked, frameRate: { ideal: data.fps, max: data.fps } }).catch(() => {});
      }
    }
  };

  clearInterval(parentElement.classmoodAsking); // of another rate: it is called again for each, without an end before
  parentElement.classmoodAsking = setInterval(ask, 1000);
  ask();
  return () => clearInterval(parentElement.classmoodAsking);
}
