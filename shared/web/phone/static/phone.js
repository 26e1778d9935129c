// BlokKey in a browser: enrol, list, approve, say no. Words and layout are the page's; here is only what happens.
//
// What is shown of a request is read from the very text that is signed. Of what the API says besides, only warnings are
// shown, and that there is none means nothing.

import { agentInWords } from "./agent.js";
import { Refused, call } from "./api.js";
import { canEndorse, endorse, isSupported, make, sign } from "./authenticator.js";
import { canonical } from "./canonical.js";
import { sha256, utf8 } from "./octets.js";
import { isReadable, readContext } from "./request.js";
import { makeStatement } from "./statement.js";
import { forget, keep, read } from "./storage.js";

const POLL = 3_000;
const MARGIN = 8; // px between the field and the keyboard, the facts and the top
const ASK_AGAIN = [1_000, 3_000]; // after an answer that did not come

const app = document.getElementById("app");
const words = document.getElementById("words").content;
const word = (key) => words.querySelector(`[data-word="${key}"]`).textContent;
const within = (view, selector) => app.querySelector(`[data-view="${view}"] ${selector}`);

let request = null; // the one that is shown: {id, facts}
let leaving = null; // the phone that is about to be removed
let handle = null; // of a scanned code
let invitation = null; // {id, seed}
let unfinished = null; // {path, body}: a key that the server may know already, sent as it was until it answers
let busy = false;
let shown = "start";

function speak(text) {
  document.getElementById("status").textContent = text;
}

function show(view) {
  shown = view;
  for (const section of app.querySelectorAll("[data-view]")) section.hidden = section.dataset.view !== view;
  within(view, "h1").focus();
}

/** An outcome as a page of its own. Codes without words of their own get the general ones. */
function say(code) {
  const found = words.querySelector(`[data-code="${CSS.escape(code)}"]`) ?? words.querySelector('[data-code="other"]');
  within("said", "[data-title]").textContent = found.querySelector("b").textContent;
  within("said", "[data-text]").textContent = found.querySelector("i").textContent;
  within("said", "[data-do=again]").hidden = unfinished !== null;
  within("said", "[data-do=finish]").hidden = unfinished === null;
  request = null;
  show("said");
}

const OVER = ["superseded", "limited", "denied", "not_me", "not_found", "other_context"];
const NO_LONGER_HERE = ["device_removed", "refused", "unknown_device"];

async function fail(error) {
  if (error instanceof Refused) {
    if (NO_LONGER_HERE.includes(error.code)) await forgetPhone();
    else if (error.status === 401) return show("locked");
    return say(OVER.includes(error.code) ? "over" : error.code);
  }
  if (error?.name === "NotAllowedError" || error?.name === "AbortError") return speak(word("not_finished"));
  return say("other");
}

/** The key is of no use any more: the next "Unlock" offers whatever other key this phone has. */
async function forgetPhone() {
  await forget("token");
  await forget("credential");
}

/** One thing at a time: a second tap while the first is under way does nothing. */
async function once(action) {
  if (busy) return;
  busy = true;
  for (const button of app.querySelectorAll("button")) button.setAttribute("aria-disabled", "true");
  speak(word("busy"));
  try {
    await action();
    speak("");
  } catch (error) {
    speak("");
    await fail(error);
  } finally {
    busy = false;
    for (const button of app.querySelectorAll("button")) button.removeAttribute("aria-disabled");
  }
}

// requests

async function look() {
  if ((await read("token")) === null) return show("locked");
  if (handle !== null) return open(await scanned());
  present(await call("GET", "/challenges"));
}

/** The request behind the scanned code. A code that was answered, also by a refusal, is not asked for again. */
async function scanned() {
  try {
    const { challenge } = await call("POST", "/challenges/by-handle", { handle });
    handle = null;
    return challenge;
  } catch (error) {
    if (error.status !== 401 && error.code !== "unavailable") handle = null;
    throw error;
  }
}

/** `waiting`: the organisation has not confirmed this phone yet. Until then requests are shown and nothing counts. */
function present({ challenges, waiting }) {
  within("empty", "[data-waiting]").hidden = !waiting;
  const readable = challenges.filter(isReadable);
  if (readable.length === 1) open(readable[0]);
  else if (readable.length > 1) choose(readable);
  else if (challenges.length > 0) say("not_shown");
  else if (shown !== "empty") show("empty");
}

/** Look for news while nothing else goes on; what the person did meanwhile wins. */
async function poll() {
  const before = shown;
  const idle = () => !busy && shown === before && document.visibilityState === "visible";
  if (!idle() || !["empty", "choose"].includes(before)) return;
  try {
    const news = await call("GET", "/challenges");
    if (idle()) present(news);
  } catch (error) {
    const over = error.status === 401 || NO_LONGER_HERE.includes(error.code);
    if (idle() && over) await fail(error); // anything else: the next poll
  }
}

function choose(challenges) {
  const list = within("choose", "[data-requests]");
  const ids = challenges.map((each) => each.id).join(" ");
  if (shown === "choose" && list.dataset.requests === ids) return; // nothing new: the focus stays where it is
  list.dataset.requests = ids;
  const rows = challenges.map((each) => {
    const facts = readContext(each.context);
    const button = document.createElement("button");
    button.type = "button";
    button.className = "button secondary";
    for (const text of [facts.application_name, [agentInWords(facts.agent, word), facts.place || facts.address].filter(Boolean).join(" · ")]) {
      button.append(Object.assign(document.createElement("span"), { textContent: text }));
    }
    button.addEventListener("click", () => open(each));
    const row = document.createElement("li");
    row.append(button);
    return row;
  });
  list.replaceChildren(...rows);
  show("choose");
}

function open(challenge) {
  const facts = readContext(challenge.context);
  request = { id: challenge.id, facts };
  for (const place of app.querySelectorAll('[data-view="request"] [data-fact]')) {
    place.textContent = facts[place.dataset.fact];
  }
  within("request", '[data-fact="agent"]').textContent = agentInWords(facts.agent, word);
  within("request", "[data-approximate]").hidden = !facts.place;
  within("request", "[data-unknown]").hidden = facts.known_browser;
  const countries = challenge.country_differs ?? null;
  warnOfCountries(countries);
  within("request", "[data-network]").hidden = !challenge.network_differs || countries !== null;
  within("request", "[data-code-field]").hidden = !facts.code_required;
  const time = within("request", "[data-time]");
  time.dateTime = facts.issued_at;
  time.textContent = clock(facts.issued_at);
  const form = within("request", "form");
  form.reset();
  complain("");
  show("request");
}

function clock(time) {
  return new Date(time).toLocaleTimeString(document.documentElement.lang, { hour: "numeric", minute: "2-digit" });
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
function keepFactsInSight() {
  const field = document.getElementById("code");
  const room = window.visualViewport ?? { offsetTop: 0, height: window.innerHeight, scale: 1 };
  if (room.scale > 1.01) return;
  const covered = Math.max(0, document.documentElement.clientHeight - room.height);
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
    within("request", "[data-summary]").focus();
  } else {
    field.removeAttribute("aria-invalid");
  }
}

async function approve(form) {
  const { id, facts } = request;
  const asked = facts.code_required;
  const code = asked ? form.elements.code.value.replaceAll(/[\s-]/g, "") : "";
  if (asked && !/^[0-9]{4,12}$/.test(code)) return complain(word("code_needed"));
  complain("");
  const context = canonical({ ...facts, code });
  const credential = await sign(await sha256(utf8(context)), await read("credential"));
  try {
    await call("POST", `/challenges/${encodeURIComponent(id)}/approve`, { context, credential });
  } catch (error) {
    if (!(error instanceof Refused) || error.code !== "wrong_code" || error.status !== 403) throw error;
    form.reset();
    return complain(word("code_wrong"));
  }
  return say("approved");
}

async function refuse(path, outcome) {
  await call("POST", `/challenges/${encodeURIComponent(request.id)}/${path}`, {});
  say(outcome);
}

// phones

async function listDevices() {
  const { devices } = await call("GET", "/devices");
  const rows = devices.map((device) => {
    const row = document.createElement("li");
    const since = new Date(device.enrolled_at).toLocaleDateString(document.documentElement.lang, { dateStyle: "medium" });
    const about = [device.this ? word("this_phone") : "", `${word("since")} ${since}`].filter(Boolean).join(", ");
    const text = document.createElement("p");
    text.append(
      Object.assign(document.createElement("b"), { textContent: device.name }),
      Object.assign(document.createElement("span"), { className: "muted small", textContent: about }),
    );
    const button = Object.assign(document.createElement("button"), { type: "button", className: "button secondary" });
    button.textContent = word("remove");
    button.setAttribute("aria-label", `${word("remove")} ${device.name}, ${about}`);
    button.addEventListener("click", () => ask(device));
    row.append(text, button);
    return row;
  });
  within("devices", "[data-devices]").replaceChildren(...rows);
  show("devices");
}

function ask(device) {
  leaving = device;
  within("remove", "[data-device]").textContent = device.name;
  within("remove", "[data-this]").hidden = !device.this;
  within("remove", "[data-other]").hidden = device.this;
  show("remove");
}

/** The phone in hand signs that the other one, or itself, is to go: the session alone removes none. */
async function removeDevice() {
  const { id: device, this: own } = leaving;
  const path = `/devices/${encodeURIComponent(device)}/remove`;
  const begun = await call("POST", `${path}/nonce`, {});
  const { text, challenge } = await makeStatement("remove", begun.server_nonce, { device });
  const credential = await sign(challenge, await read("credential"));
  await call("POST", path, { id: begun.id, statement: text, credential });
  if (own) await forgetPhone();
  say(own ? "device_removed" : "removed");
}

// session

async function unlock() {
  const begun = await call("POST", "/sessions/nonce", {});
  const { text, challenge } = await makeStatement("session", begun.server_nonce);
  const credential = await sign(challenge, await read("credential")).catch(async (error) => {
    await forget("credential"); // the phone may not have that key any more: the next try offers what it has
    throw error;
  });
  const opened = await call("POST", "/sessions", { id: begun.id, statement: text, credential });
  await keep("token", opened.token);
  await keep("credential", credential.id);
  await look();
}

/** Without a network too: a token that nobody has any more opens nothing. */
async function lock() {
  await call("DELETE", "/sessions").catch(() => {});
  await forget("token");
  show("locked");
}

// enrolment

async function enrol(form) {
  if (!(await canEndorse())) return show("unsupported");
  const begun = await call("POST", "/enrolments", { invitation: invitation.id });
  const { text, challenge } = await makeStatement("enrol", begun.server_nonce);
  const made = await make(begun, challenge);
  const endorsement = await endorse(invitation.seed, {
    tenant: begun.tenant,
    account: begun.account,
    invitation: invitation.id,
    credentialId: made.credential.id,
    publicKey: made.publicKey,
  });
  const name = form.elements.name.value;
  const body = { statement: text, credential: made.credential, endorsement, name };
  unfinished = { path: `/enrolments/${encodeURIComponent(begun.id)}`, body };
  return finish();
}

/** Send what was made; the same request again gets the same answer. */
async function finish() {
  const { path, body } = unfinished;
  for (const wait of [...ASK_AGAIN, null]) {
    try {
      await call("POST", path, body);
      break;
    } catch (error) {
      if (error.code !== "unavailable") unfinished = null;
      if (unfinished === null || wait === null) throw error;
      await new Promise((resume) => setTimeout(resume, wait));
    }
  }
  await keep("credential", body.credential.id);
  unfinished = invitation = null;
  return say("enrolled");
}

// the page

/** Read the link's fragment and take it out of the address, so that no history keeps it. */
function readLink() {
  const [kind, value = ""] = location.hash.slice(1).split("=");
  if (kind === "i") {
    const [id, seed = ""] = value.split(".");
    invitation = { id, seed };
  }
  if (kind === "q") handle = value;
}

const actions = {
  unlock,
  lock,
  deny: () => refuse("deny", "denied"),
  "not-me": () => refuse("not-me", "not_me"),
  again: look,
  finish,
  devices: listDevices,
  remove: removeDevice,
  copy: async () => {
    await navigator.clipboard.writeText(location.href);
    speak(word("copied"));
  },
};

app.addEventListener("click", (event) => {
  const action = event.target.closest("[data-do]")?.dataset.do;
  if (action) once(actions[action]);
});

app.addEventListener("submit", (event) => {
  event.preventDefault();
  const form = event.target;
  once(() => (form.dataset.form === "enrol" ? enrol(form) : approve(form)));
});

async function begin() {
  readLink();
  if (!(await isSupported())) return show("unsupported");
  if (location.hash) history.replaceState(null, "", location.pathname);
  if (invitation !== null) return show("invited");
  return look().catch(fail);
}

(window.visualViewport ?? window).addEventListener("resize", keepFactsInSight);

setInterval(poll, POLL);
document.addEventListener("visibilitychange", poll);
window.addEventListener("hashchange", begin);

// The one script address that this page ever makes from text (Trusted Types); the file is served beside the page.
const worker = window.trustedTypes?.createPolicy("blok365", { createScriptURL: () => "/sw.js" }).createScriptURL("");
navigator.serviceWorker?.register(worker ?? "/sw.js").catch(() => {}); // without it there is no page offline, that is all

begin();
