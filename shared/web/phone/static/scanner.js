// The screen `scan`: this phone's camera reads the code on the sign-in page, or on an invitation.
//
// The picture stays here. Only a link to this very page is taken, and only what such a link can say: anything else that
// a code holds is neither opened nor shown. What a link of ours leads to is the same as if it had been opened.

import { app, move, onLeaving, shown, speak, within } from "./screens.js";
import { origin } from "./site.js";
import { CAMERA } from "./states.js";

const PAUSE = 120; // ms between two pictures that are read
const EDGE = 640; // px of the square that is read: a code of the sign-in page has 41 modules at most
const BACK = { facingMode: { ideal: "environment" }, width: { ideal: 1280 }, height: { ideal: 720 } };
const OURS = /^[iqp]=[A-Za-z0-9._-]{1,512}$/; // the fragment of a link of ours

let state = "off";
let stream = null;
let round = 0; // raised whenever the camera is asked for or left: what comes late from before means nothing
let found = () => {}; // gets the fragment of a code of ours

/** Show the screen and ask for the camera, after a tap. `taken` gets the fragment of the first code of ours. */
export async function open(taken) {
  found = taken;
  if (shown() !== "scan" && !move("scan")) return;
  start().catch(() => become("taken")); // the tap is done: what comes of it shows by itself
}

async function start() {
  become("asked");
  round += 1;
  const mine = round;
  try {
    const decodeQR = await decoder();
    const picture = mine === round ? await camera() : null;
    if (mine !== round) return stop(picture);
    stream = picture;
    for (const track of stream.getTracks()) track.addEventListener("ended", () => mine === round && lose());
    const video = within("scan", "video");
    video.srcObject = stream;
    become("granted");
    await video.play();
    await watch(video, decodeQR, mine);
  } catch (error) {
    if (mine === round) lose(error);
  }
}

/** Read one picture after the other, until a code of ours is in it or the camera is left. */
async function watch(video, decodeQR, mine) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = EDGE;
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  let refused = ""; // the code that was seen last and is none of ours: it is said once
  while (mine === round) {
    const text = read(video, pen, decodeQR);
    const fragment = ours(text);
    if (fragment !== null) {
      leave("ours");
      navigator.vibrate?.(50);
      return found(fragment);
    }
    if (text !== "" && text !== refused) {
      refused = text;
      become("foreign");
    }
    await new Promise((resume) => setTimeout(resume, PAUSE));
  }
}

/** The text of a code in the middle of the picture, which is what the screen shows of it; empty without one. */
function read(video, pen, decodeQR) {
  const edge = Math.min(video.videoWidth, video.videoHeight);
  if (edge === 0) return "";
  pen.drawImage(video, (video.videoWidth - edge) / 2, (video.videoHeight - edge) / 2, edge, edge, 0, 0, EDGE, EDGE);
  try {
    return decodeQR(pen.getImageData(0, 0, EDGE, EDGE));
  } catch {
    return ""; // no code in it, or none that can be read
  }
}

/** What a link to this page says; null for any other text. The origin is compared whole, not by its beginning. */
export function ours(text) {
  const [before, fragment = ""] = text.split("#", 2);
  return before === `${origin}/` && OURS.test(fragment) && text === `${before}#${fragment}` ? fragment : null;
}

/** The reader of codes is fetched when it is needed first. Set-up may have had to do without it. */
async function decoder() {
  const { decodeQR } = await import("./qr.js").catch(() => ({}));
  if (typeof decodeQR !== "function") throw new DOMException("no reader of codes", "NotSupportedError");
  return decodeQR;
}

async function camera() {
  if (navigator.mediaDevices?.getUserMedia === undefined) throw new DOMException("no camera", "NotFoundError");
  return navigator.mediaDevices.getUserMedia({ video: BACK, audio: false });
}

const WHY = { NotAllowedError: "refused", NotFoundError: "absent", OverconstrainedError: "absent", NotSupportedError: "unloaded" };

/** It cannot be had, or not any more. */
function lose(error = null) {
  release();
  become(WHY[error?.name] ?? "taken");
}

/** The camera is of no use any more: its light goes out. */
function leave(event) {
  release();
  become(event);
}

function release() {
  round += 1;
  stop(stream);
  stream = null;
  within("scan", "video").srcObject = null;
}

function stop(picture) {
  for (const track of picture?.getTracks() ?? []) track.stop();
}

/** Take an event (states.js) and show what the camera is doing now. */
function become(event) {
  const next = CAMERA[state][event];
  if (next === undefined) return;
  state = next;
  for (const part of app.querySelectorAll("[data-camera]")) part.hidden = !part.dataset.camera.split(" ").includes(state);
  const foreign = within("scan", "[data-foreign]");
  foreign.hidden = event !== "foreign";
  const said = event === "foreign" ? foreign : within("scan", `p[data-camera~="${state}"]`);
  if (said !== null) speak(said.textContent.trim());
}

onLeaving("scan", () => leave("left"));
document.addEventListener("visibilitychange", () => {
  if (shown() !== "scan") return;
  if (document.visibilityState === "hidden") leave("left");
  else if (state === "off") start().catch(() => become("taken"));
});
