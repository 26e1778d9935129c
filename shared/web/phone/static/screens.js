// The screens: which one is shown, and what is said on it. Words and layout are the page's.

import { STATES } from "./states.js";

export const app = document.getElementById("app");
const words = document.getElementById("words").content;
export const word = (key) => words.querySelector(`[data-word="${key}"]`).textContent;
export const within = (view, selector) => app.querySelector(`[data-view="${view}"] ${selector}`);
export const make = (tag, properties = {}) => Object.assign(document.createElement(tag), properties);

const language = document.documentElement.lang;
/** How dates and times are written: the reader's own form of the page's language, such as en-GB on an English page. */
export const locale = navigator.languages?.find((tag) => tag.split("-")[0].toLowerCase() === language) ?? language;

/** A copy of an icon, by its name. */
export const icon = (name) => words.querySelector(`[data-icon="${name}"] svg`).cloneNode(true);
/** A copy of what stands under `attribute` with that value: a sign and a word; null when there is none. */
export const phrase = (attribute, value) => words.querySelector(`[${attribute}="${CSS.escape(value)}"]`)?.cloneNode(true) ?? null;

let now = "start";
let outcome = ""; // the code of what is said on the screen `said`
const leaving = new Map(); // what is to be done when a screen is left

/** The screen that is shown. */
export const shown = () => now;
/** What the screen `said` says; empty on any other. */
export const saidCode = () => (now === "said" ? outcome : "");

/** Only for ears. */
export function speak(text) {
  document.getElementById("status").textContent = text;
}

/** Take it back, unless something else was said since. */
export function unspeak(text) {
  if (document.getElementById("status").textContent === text) speak("");
}

/** Go where that event leads from here. False when it means nothing on this screen. */
export function move(event) {
  const next = STATES[now][event];
  if (next === undefined) return false;
  if (next !== now) leaving.get(now)?.();
  now = next;
  remark("");
  banner("more", false);
  for (const section of app.querySelectorAll("[data-view]")) section.hidden = section.dataset.view !== next;
  window.scrollTo(0, 0); // whatever was read before
  within(next, "h1").focus({ preventScroll: true });
  return true;
}

/** Have `action` done whenever that screen is left, for whatever reason. */
export const onLeaving = (view, action) => leaving.set(view, action);

/**
 * An outcome as a screen of its own. Codes without words of their own get the general ones. `retry`: of an enrolment.
 * `about`: for whom, and what for.
 */
export function say(code, { retry = false, about = [] } = {}) {
  const found = phrase("data-code", code) ?? phrase("data-code", "other");
  within("said", "[data-sign]").replaceChildren(found.querySelector("svg"));
  within("said", "[data-about]").textContent = about.join(" · ");
  within("said", "[data-about]").hidden = about.length === 0;
  within("said", "[data-title]").textContent = found.querySelector("b").textContent;
  within("said", "[data-text]").textContent = found.querySelector("i").textContent;
  within("said", "[data-do=again]").hidden = retry;
  within("said", "[data-do=retry]").hidden = !retry;
  for (const each of app.querySelectorAll("[data-only]")) each.hidden = each.dataset.only !== code;
  within("said", "[data-do=new-link]").hidden = code !== "invitation";
  within("said", "[data-do=again]").classList.toggle("secondary", code === "invitation");
  outcome = code;
  move("outcome");
}

/** A sentence beside the buttons of the screen that is shown; empty takes it away. */
export function remark(text) {
  const place = document.getElementById("remark");
  const section = app.querySelector(`[data-view="${now}"]`);
  const buttons = section.querySelector(".actions") ?? section.querySelector("button");
  place.hidden = !text || buttons === null;
  place.querySelector("span").textContent = text;
  if (!place.hidden) buttons.before(place);
}

/**
 * Above every screen: that there is no connection (`offline`), and that a request waits which this screen does not show
 * (`more`). True when that is another than before.
 */
export function banner(name, visible) {
  const place = document.getElementById(name);
  if (place.hidden === !visible) return false;
  place.hidden = !visible;
  if (visible) speak(place.querySelector("span").textContent);
  return true;
}
