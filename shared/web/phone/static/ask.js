// The screens `choose` and `request`: what is asked, by whom, how long yet; and the answers.
//
// What is shown of a request is read from the very text that is signed. Of what the API says besides, only warnings, the
// time left and the tries left are shown, and that there is no warning means nothing.

import { agentInWords } from "./agent.js";
import { Refused, call } from "./api.js";
import { sign } from "./authenticator.js";
import { canonical } from "./canonical.js";
import { sha256, utf8 } from "./octets.js";
import { isTrial, readContext } from "./request.js";
import { app, icon, locale, make, move, remark, say, shown, speak, within, word } from "./screens.js";

const MARGIN = 8; // px between the field and the keyboard, the facts and the top
const SPOKEN = [60, 20]; // seconds left at which the time is said aloud
const OVER = ["superseded", "limited", "denied", "not_me", "not_found", "other_context"];

const HAS_ENDED = [404, 409, 410]; // HTTP status

let request = null; // {id, entry, facts, ends, whole, left, tries, answer}; `answer`: {context, credential, sent}

/** The screen's word for a request's end. */
export const ending = (code) => (OVER.includes(code) ? "over" : code);
/** The request that is on the screen, or null. */
export const open = () => (shown() === "request" ? request : null);

// choose

/** A row for each request: what for, which browser and where, how long ago; whose, where there are several accounts. */
export function choose(requests, chosen) {
  const list = within("choose", "[data-requests]");
  const ids = requests.map((each) => each.id).join(" ");
  const several = new Set(requests.map((each) => each.entry.credential)).size > 1;
  if (shown() === "choose" && list.dataset.requests === ids) {
    // Nothing new: the focus stays where it is.
    for (const [place, row] of [...list.children].entries()) row.querySelector("time").textContent = ago(requests[place].age);
    return;
  }
  list.dataset.requests = ids;
  const rows = requests.map((each) => {
    const facts = readContext(each.context);
    const button = make("button", { type: "button", className: "button way secondary" });
    const browser = [agentInWords(facts.agent, word), facts.place || facts.address].filter(Boolean).join(" · ");
    const lines = [facts.application_name, browser, ...(several ? [`${facts.upn} · ${facts.organisation}`] : [])];
    const text = make("span");
    text.append(...lines.map((line, place) => make("span", { className: place === 0 ? "name" : "line", textContent: line })));
    text.append(make("time", { className: "line", textContent: ago(each.age), dateTime: facts.issued_at }));
    button.append(icon("monitor"), text);
    button.addEventListener("click", () => chosen(each));
    const row = make("li");
    row.append(button);
    return row;
  });
  list.replaceChildren(...rows);
  move("several");
}

/** "2 minutes ago"; `seconds` by the server's clock, nothing when it does not say. */
function ago(seconds) {
  if (!Number.isFinite(seconds)) return "";
  const format = new Intl.RelativeTimeFormat(locale, { numeric: "auto" });
  return seconds < 60 ? format.format(-Math.max(0, Math.round(seconds)), "second") : format.format(-Math.floor(seconds / 60), "minute");
}

// request

export function show(challenge) {
  const facts = readContext(challenge.context);
  request = { id: challenge.id, entry: challenge.entry, facts, ends: null, whole: lifetime(facts), left: null, tries: null, answer: null };
  for (const place of app.querySelectorAll('[data-view="request"] [data-fact]')) {
    place.textContent = facts[place.dataset.fact];
  }
  const trial = isTrial(facts);
  for (const place of app.querySelectorAll('[data-view="request"] [data-trial]')) place.hidden = !trial;
  within("request", "[data-real]").hidden = trial;
  within("request", '[data-fact="agent"]').textContent = agentInWords(facts.agent, word);
  within("request", '[data-fact="place"]').textContent = facts.place || word("place_unknown");
  within("request", "[data-approximate]").hidden = !facts.place;
  within("request", "[data-unknown]").hidden = facts.known_browser;
  const countries = challenge.country_differs ?? null;
  warnOfCountries(countries);
  within("request", "[data-network]").hidden = !challenge.network_differs || countries !== null;
  within("request", "[data-code-field]").hidden = !facts.code_required;
  const time = within("request", "[data-time]");
  time.dateTime = facts.issued_at;
  time.textContent = clock(facts.issued_at);
  within("request", "form").reset();
  complain("");
  heard(challenge);
  move("one");
}

/** What the API says of it now: time and tries left. Both are for convenience; what ends a request is the server. */
export function heard(challenge) {
  if (Number.isFinite(challenge.expires_in)) request.ends = (challenge.came ?? performance.now()) + challenge.expires_in * 1000;
  if (Number.isInteger(challenge.tries_left)) showTries(challenge.tries_left);
  tick();
}

function showTries(left) {
  request.tries = left;
  const place = within("request", "[data-tries]");
  place.hidden = left > 2 || left < 1;
  place.textContent = left === 1 ? word("try_left") : word("tries_left").replace("{left}", left);
}

/** Once a second. True when the time of the request on the screen is over. */
export function tick() {
  if (request === null) return false;
  const timer = within("request", "[data-timer]");
  timer.hidden = request.ends === null;
  if (request.ends === null) return false;
  const left = Math.max(0, Math.ceil((request.ends - performance.now()) / 1000));
  request.whole = Math.max(request.whole, left);
  timer.querySelector(".left").setAttribute("stroke-dasharray", `${request.whole ? (100 * left) / request.whole : 0} 100`);
  timer.querySelector("[data-left]").textContent = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
  const passed = SPOKEN.filter((at) => request.left !== null && request.left > at && left <= at && left > 0);
  if (passed.length > 0) speak(word(`left_${Math.min(...passed)}`));
  request.left = left;
  return left === 0;
}

/** For how many seconds the request was made: for the ring alone. */
function lifetime({ issued_at: from, expires_at: to }) {
  const seconds = Math.round((Date.parse(to) - Date.parse(from)) / 1000);
  return seconds > 0 ? seconds : 0;
}

function clock(time) {
  return new Date(time).toLocaleTimeString(locale, { hour: "numeric", minute: "2-digit" });
}

/** Both countries in words; read with the heading, which has the focus. It says more than different networks do. */
function warnOfCountries(countries) {
  const warning = document.getElementById("countries");
  warning.hidden = countries === null;
  const heading = within("request", "h1");
  heading.removeAttribute("aria-describedby");
  if (countries === null) return;
  for (const name of warning.querySelectorAll("[data-country]")) name.textContent = countries[name.dataset.country];
  heading.setAttribute("aria-describedby", warning.id);
}

/**
 * The keyboard takes its part of the screen: the field comes to rest just above it, so that as much of the facts as
 * there is room for stays in sight. When the room changes, not while somebody scrolls or zooms.
 */
export function keepFactsInSight() {
  const field = document.getElementById("code");
  const room = window.visualViewport ?? { offsetTop: 0, height: window.innerHeight, scale: 1 };
  if (room.scale > 1.01) return;
  const covered = Math.max(0, document.documentElement.clientHeight - room.height);
  document.body.classList.toggle("keyboard", covered > 0);
  document.body.style.paddingBottom = covered ? `${covered}px` : ""; // or the end of the page could not come up
  if (document.activeElement !== field) return;
  const below = field.getBoundingClientRect().bottom + MARGIN - (room.offsetTop + room.height);
  const above = within("request", ".facts").getBoundingClientRect().top - MARGIN - room.offsetTop;
  if (below > 0) window.scrollBy(0, below);
  else if (above < 0) window.scrollBy(0, Math.max(below, above));
}

function complain(text) {
  within("request", "[data-summary]").hidden = !text;
  for (const place of app.querySelectorAll('[data-view="request"] [data-error]')) place.textContent = text;
  within("request", "#code-error").hidden = !text;
  const field = document.getElementById("code");
  if (text) {
    field.setAttribute("aria-invalid", "true");
    within("request", "[data-code-field]").scrollIntoView({ block: "nearest" }); // above the answers, with what is said of it
    within("request", "[data-summary]").focus();
  } else {
    field.removeAttribute("aria-invalid");
  }
}

// answers

export async function approve(form) {
  const { entry, facts } = request;
  const asked = facts.code_required;
  const code = asked ? form.elements.code.value.replaceAll(/[\s-]/g, "") : "";
  if (asked && !/^[0-9]{4,12}$/.test(code)) return complain(word("code_needed"));
  complain("");
  const context = canonical({ ...facts, code });
  if (request.answer?.context !== context) {
    request.answer = null;
    const credential = await sign(await sha256(utf8(context)), [entry.credential]);
    request.answer = { context, credential, sent: false };
  }
  return send();
}

/**
 * Send what was signed. Without an answer it stays signed and the code stays typed: the same is sent again as soon as
 * there is a connection, and the server takes it once.
 */
export async function send() {
  const { id, entry, answer } = request;
  const { context, credential, sent } = answer;
  answer.sent = true;
  try {
    await call("POST", `/challenges/${encodeURIComponent(id)}/approve`, { context, credential }, entry);
  } catch (error) {
    if (!(error instanceof Refused) || error.code === "unavailable") throw error;
    request.answer = null;
    if (sent && error.code === "accepted") return approved(); // it had arrived
    if (error.code !== "wrong_code" || error.status !== 403) throw error;
    within("request", "form").reset();
    showTries((request.tries ?? 3) - 1);
    return complain(word("code_wrong"));
  }
  return approved();
}

const approved = () => say("approved", { about: [request.facts.upn, request.facts.application_name] });

/** The answer that no network took, while its request is on the screen; or null. */
export const unsent = () => open()?.answer ?? null;

export async function refuse(path, outcome) {
  request.answer = null;
  await call("POST", `/challenges/${encodeURIComponent(request.id)}/${path}`, {}, request.entry);
  say(outcome);
}

/**
 * Say no to each of them, without a report. One that has ended meanwhile is no obstacle; after any other refusal the
 * rest are declined all the same, and nothing is said to be declined that is not.
 */
export async function declineAll(requests) {
  let trouble = null;
  for (const { id, entry } of requests) {
    await call("POST", `/challenges/${encodeURIComponent(id)}/deny`, {}, entry).catch((error) => {
      if (error.code === "unavailable") throw error;
      if (!HAS_ENDED.includes(error.status)) trouble ??= error;
    });
  }
  if (trouble !== null) throw trouble;
  say("denied");
}

/** What became of the request on the screen, which is not open any more. `requests`: those that are. */
export async function ended(requests) {
  const { id, entry, answer } = request;
  const { state } = await call("GET", `/challenges/${encodeURIComponent(id)}`, undefined, entry);
  if (state === "open") return;
  const next = state === "superseded" ? successor(requests) : undefined;
  if (next !== undefined) {
    show(next);
    remark(word("replaced"));
    speak(word("replaced"));
  } else if (answer !== null && state === "accepted") approved();
  else say(ending(state));
}

/**
 * The newer request of the same browser, by what is signed of both: one of another browser must not be taken for it.
 */
function successor(requests) {
  const { entry, facts } = request;
  const same = (other) => other.agent === facts.agent && other.address === facts.address && other.issued_at >= facts.issued_at;
  return requests.find((each) => each.entry.credential === entry.credential && same(readContext(each.context)));
}
