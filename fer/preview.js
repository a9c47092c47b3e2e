// Shows a visitor their own picture while streamlit-webrtc only sends it (its SENDONLY mode shows nothing).
// The stream that its frame opens is shown as it is: a second getUserMedia of ours would mute the first on iOS.
const FRAMES = 'iframe[title*="webrtc_streamer"]';

export default function ({ data, parentElement }) {
  const video = parentElement.querySelector("video");

  const show = (stream) => {
    video.srcObject = stream;
    video.play().catch(() => {});
  };

  const watch = () => {
    for (const frame of document.querySelectorAll(FRAMES)) {
      const devices = frame.contentWindow?.navigator?.mediaDevices;
      if (!devices) continue;
      if (!devices.classmoodOpen) {
        devices.classmoodOpen = devices.getUserMedia.bind(devices);
        devices.getUserMedia = async (constraints) => {
          const stream = await devices.classmoodOpen(constraints);
          devices.classmoodStream = stream;
          return stream;
        };
      }
      const stream = devices.classmoodStream;
      if (data.shown && stream && stream !== video.srcObject) show(stream);
    }
    const live = data.shown && video.srcObject?.getVideoTracks().some((track) => track.readyState === "live");
    video.style.display = live ? "block" : "none";
  };

  const timer = setInterval(watch, 250);
  watch();
  return () => {
    clearInterval(timer);
    video.srcObject = null;
  };
}
