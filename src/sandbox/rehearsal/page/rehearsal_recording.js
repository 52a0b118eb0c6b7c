// A recording of what the candidate says, if the browser allows it. It stays in this page and goes nowhere: it is downloaded, or gone.

import { h } from "/console/dom.js";
import { say } from "./rehearsal_connection.js";

let recording = null;

/** A button that records, and then downloads. Empty where the browser cannot record. */
export function recorder() {
  if (!navigator.mediaDevices || typeof MediaRecorder === "undefined") return null;
  const button = h("button", { type: "button", id: "record" }, "Record my voice");
  button.addEventListener("click", () => (recording ? stop(button) : start(button)));
  return button;
}

async function start(button) {
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    const chunks = [];
    recording = new MediaRecorder(stream);
    recording.addEventListener("dataavailable", ({ data }) => chunks.push(data));
    recording.addEventListener("stop", () => {
      stream.getTracks().forEach((track) => track.stop());
      download(new Blob(chunks, { type: recording.mimeType }));
      recording = null;
    });
    recording.start(1000);
    button.textContent = "Stop and download the recording";
    document.querySelector(".course .card")?.append(button);
    say("Recording. It stays on this page; a reload ends it.");
  } catch (error) {
    say(`No recording: ${error.message}. Note the times of what you say instead.`);
  }
}

function stop(button) {
  recording.stop();
  button.textContent = "Record my voice";
}

function download(blob) {
  const link = h("a", { href: URL.createObjectURL(blob), download: "rehearsal.webm" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
