// BlokKey in a browser: what happens on each screen (states.js), by a tap or by itself. Every screen listens: it asks for
// news every few seconds, and on coming back to sight or to a network.

import { Refused, call } from "./api.js";
import * as asked from "./ask.js";
import { canEndorse, sign, whatIsMissing } from "./authenticator.js";
import * as enrolment from "./enrolment.js";
import * as history from "./history.js";
import * as further from "./further.js";
import { NO_LONGER_HERE, gather } from "./news.js";
import * as notifications from "./notifications.js";
import * as phones from "./phones.js";
import * as scanner from "./scanner.js";
import { app, banner, make, move, remark, say, saidCode, shown, speak, unspeak, within, word } from "./screens.js";
import { makeStatement } from "./statement.js";
import { NEWS } from "./states.js";
import { accounts, forget, forgetToken, keep } from "./storage.js";

const POLL = 3_000; // ms
const SECOND = 1_000;

let handle = null; // of a scanned code
let seen = new Set(); // ids of the requests that this page has heard of
let waiting = []; // the requests that are open, as far as this page has heard
let signedIn = false; // whether there was a session when it was last looked for
let anyKey = false; // whether the next "Unlock" offers every key of this phone: the ones that we know did not work
let busy = false;
let installing = null; // the browser's offer to install the page

/** `quiet`: nobody has tapped, so nothing is said of what was not sent. */
async function fail(error, quiet = false) {
  if (error instanceof Refused) {
    if (NO_LONGER_HERE.includes(error.code)) {
      if (error.account !== null) await forget(error.account.credential);
      signedIn = false;
    } else if (error.status === 401) return present(await gather(), true);
    else if (error.code === "unavailable") return unreachable(quiet);
    if (error.code === "invitation") enrolment.isOver();
    if (error.code === "offer") further.drop();
    return say(asked.ending(error.code));
  }
  if (error?.name === "NotAllowedError" || error?.name === "AbortError") return stay(word("not_finished"));
  if (error?.name === "InvalidStateError") return say("credential"); // this phone has a key of this account already
  return say("other");
}

/** The screen stays, and says beside its buttons why nothing came of them. */
function stay(text) {
  remark(text);
  speak(text);
}

/** A request stays with its code; whatever else was on its way is begun again by a button. */
function unreachable(quiet) {
  banner("offline", true);
  if (asked.open() !== null) return quiet ? undefined : stay(word(asked.unsent() === null ? "not_sent" : "sent_later"));
  return say("unavailable", { retry: enrolment.isInvited() && ["start", "invited", "said"].includes(shown()) });
}

/** One thing at a time: a second tap while the first is under way does nothing. `quiet`: nobody has tapped. */
async function once(action, quiet = false) {
  if (busy) return;
  busy = true;
  for (const button of app.querySelectorAll("button")) button.setAttribute("aria-disabled", "true");
  if (!quiet) {
    remark("");
    speak(word("busy"));
  }
  try {
    await action();
    if (!quiet) unspeak(word("busy"));
  } catch (error) {
    if (!quiet) speak("");
    await fail(error, quiet).catch(() => say("other"));
  } finally {
    busy = false;
    for (const button of app.querySelectorAll("button")) button.removeAttribute("aria-disabled");
  }
}

// news

/** Because somebody wants to know: what is open is shown, whether it is new or not. */
async function look() {
  const found = handle === null ? null : await scanned();
  if (found !== null) return asked.show(found);
  present(await gather(), true);
  if (handle !== null && shown() === "home") stay(word("unlock_other"));
}

/**
 * The request behind the scanned code: it is of one of the accounts here. A code that was answered, also by a refusal,
 * is not asked for again; one of an account that is locked waits. Null then, and while nothing is unlocked.
 */
async function scanned() {
  const entries = await accounts();
  let refusal = null;
  for (const entry of entries.filter((each) => each.token !== null)) {
    try {
      const { challenge } = await call("POST", "/challenges/by-handle", { handle }, entry);
      handle = null;
      seen.add(challenge.id);
      return { ...challenge, entry };
    } catch (error) {
      if (error.status === 401 || error.code === "unavailable") throw error;
      refusal = error;
      if (error.code !== "other_account") break;
    }
  }
  if (refusal === null) return null;
  if (refusal.code === "other_account" && entries.some((each) => each.token === null)) return null;
  handle = null;
  throw refusal;
}

/** Look for news while nothing else goes on; what the person did meanwhile wins. */
async function poll() {
  const before = shown();
  const idle = () => !busy && shown() === before && document.visibilityState === "visible";
  if (!idle() || before === "start") return;
  try {
    await further.wait();
    const news = await gather();
    if (idle()) present(news);
  } catch {
    // An answer that nobody understands: the next one, perhaps.
  }
}

function present(news, wanted = false) {
  if (banner("offline", !news.connected) && news.connected) remark(""); // what it said of the connection is over
  const isNew = news.requests.some(({ id }) => !seen.has(id));
  for (const { id } of news.requests) seen.add(id);
  waiting = news.requests;
  drawAccounts(news.entries);
  notifications.tend(news.entries);
  const heardAll = news.sessions > 0 && news.entries.every((entry) => entry.asked);
  if (heardAll && news.requests.length === 0) clearNotifications();
  const was = signedIn;
  signedIn = news.sessions > 0;
  if (news.gone !== null) return say(news.gone);
  if (!signedIn) return wanted || was ? leave(wanted) : undefined;
  if (asked.open() !== null && !wanted) return watch(news);
  const what = wanted || (saidCode() === "unavailable" && news.connected && !enrolment.isInvited()) ? "all" : NEWS[shown()];
  banner("more", what === "tell" && news.requests.length > 0);
  if (what === "all" || (what === "new" && isNew)) return showAll(news, wanted);
}

function showAll({ requests, unreadable, connected, trouble }, wanted) {
  if (requests.length === 1) return asked.show(requests[0]);
  if (requests.length > 1) return asked.choose(requests, asked.show);
  if (unreadable > 0) return say("not_shown");
  if (wanted && !connected) return say("unavailable");
  if (wanted && trouble !== null) throw trouble;
  if (connected && shown() !== "home") move("none");
}

/** No session any more: here, by time, or because another tab has ended it. An invitation needs none, and stays. */
function leave(wanted) {
  banner("more", false);
  if (wanted || !["locked", "invited", "joining"].includes(shown())) move("locked");
}

/** The request on the screen: still open, or what became of it; and whether another one waits. */
function watch(news) {
  const { id, entry } = asked.open();
  const own = news.entries.find((each) => each.credential === entry.credential);
  if (own === undefined || own.token === null) return showAll(news, true);
  banner("more", news.requests.some((each) => each.id !== id));
  if (!own.asked) return;
  const found = news.requests.find((each) => each.id === id);
  if (found === undefined) return once(() => asked.ended(news.requests), true);
  asked.heard(found);
  if (asked.unsent() !== null) once(asked.send, true);
}

/** An end that the phone sees by its own clock. What was sent and not answered may have arrived: only the server knows. */
function second() {
  if (asked.open() !== null && asked.tick() && !busy && asked.unsent() === null) say("expired");
}

// accounts

/** Whose phone this is; and "Unlock" for each account that is locked while another is not. */
function drawAccounts(entries) {
  within("home", "[data-waiting]").hidden = !entries.some((entry) => entry.waiting);
  for (const list of app.querySelectorAll("[data-accounts]")) {
    const state = JSON.stringify(entries.map(({ credential, token, account }) => [credential, token === null, account]));
    if (list.dataset.state === state) continue; // the focus stays where it is
    list.dataset.state = state;
    list.hidden = entries.length === 0;
    list.replaceChildren(...entries.map((entry) => accountRow(entry, list.dataset.accounts === "unlock")));
  }
}

function accountRow(entry, unlockable) {
  const text = make("p");
  const circle = make("span", { className: "initials", textContent: entry.account.slice(0, 1).toUpperCase() });
  circle.setAttribute("aria-hidden", "true");
  text.append(make("b", { textContent: entry.account }), make("span", { className: "muted small", textContent: entry.organisation }));
  const row = make("li");
  row.append(circle, text);
  if (unlockable && entry.token === null) {
    const button = make("button", { type: "button", className: "button secondary", textContent: word("unlock") });
    button.setAttribute("aria-label", `${word("unlock")} ${entry.account}`);
    button.addEventListener("click", () => once(() => unlock([entry])));
    row.append(button);
  }
  return row;
}

/** `entries`: whose keys may answer; without them those of all accounts that are locked. */
async function unlock(entries = null) {
  const locked = entries ?? (await accounts()).filter((entry) => entry.token === null);
  const begun = await call("POST", "/sessions/nonce", {});
  const { text, challenge } = await makeStatement("session", begun.server_nonce);
  const known = anyKey ? [] : locked.map((entry) => entry.credential);
  anyKey = true; // the phone may not have these keys any more: the next try offers what it has
  const credential = await sign(challenge, known);
  const entry = { credential: credential.id, token: null, account: "", organisation: "" };
  const opened = await call("POST", "/sessions", { id: begun.id, statement: text, credential }, entry);
  anyKey = false;
  if (typeof opened.token !== "string") throw new Refused(0, "other");
  const names = { account: String(opened.account ?? ""), organisation: String(opened.organisation ?? "") };
  for (const older of await keep({ ...entry, ...names, token: opened.token })) {
    await call("DELETE", "/sessions", undefined, older).catch(() => {});
  }
  await look();
}

/** All accounts. Without a network too: a token that nobody has any more opens nothing. */
async function lock() {
  await notifications.forgetAtServer();
  for (const entry of await accounts()) {
    if (entry.token === null) continue;
    await call("DELETE", "/sessions", undefined, entry).catch(() => {});
    await forgetToken(entry);
  }
  signedIn = false;
  drawAccounts(await accounts());
  leave(true);
}

// notifications

/** On the screen that says that this phone is ready: at once, not with the next news. */
async function offerNotifications() {
  if (saidCode() === "enrolled") await notifications.tend((await gather()).entries);
}

/** What the person has seen here need not be read a second time. */
async function clearNotifications() {
  const registration = await navigator.serviceWorker?.getRegistration().catch(() => undefined);
  const found = await registration?.getNotifications?.({ tag: "request" });
  for (const each of found ?? []) each.close();
}

/** A push has come, or somebody has tapped on a notification: what is open is looked for at once. */
function hear({ data }) {
  if (data?.news === true) return poll();
  if (data?.tapped === true) return NEWS[shown()] === "tell" ? poll() : once(look, true);
}

// the page

/** Take what a link's fragment says, without the `#`. */
function take(fragment) {
  const [kind, value = ""] = fragment.split("=");
  if (kind === "i") enrolment.take(value);
  if (kind === "p") further.take(value);
  if (kind === "q") handle = value;
}

/** A code of ours was in front of the camera: as if its link had been opened. */
async function scannedCode(fragment) {
  take(fragment);
  const first = setUp();
  if (first !== null && !(await canEndorse())) return lacking("browser");
  return once(first ?? look);
}

/** What shows whose phone this is to become, if a link asks for that; null otherwise. */
function setUp() {
  if (further.isOffered()) return further.present;
  return handle === null && enrolment.isInvited() ? enrolment.present : null;
}

/** This phone cannot be used: why, and what to do. */
function lacking(what) {
  for (const part of app.querySelectorAll("[data-lack]")) part.hidden = part.dataset.lack !== what;
  move("unsupported");
}

const actions = {
  unlock: () => unlock(),
  lock,
  deny: () => asked.refuse("deny", "denied"),
  "not-me": () => asked.refuse("not-me", "not_me"),
  "decline-all": () => asked.declineAll(waiting),
  again: look,
  retry: async () => {
    await enrolment.retry();
    await offerNotifications();
  },
  "new-link": enrolment.askForNewLink,
  further: async (button) => {
    const entry = (await accounts()).find((each) => each.credential === button.dataset.credential);
    if (entry !== undefined) await further.offer(entry);
  },
  "copy-offer": further.copyLink,
  later: () => {
    enrolment.drop();
    further.drop();
    return look();
  },
  "push-on": notifications.turnOn,
  "push-off": notifications.turnOff,
  devices: phones.list,
  history: history.list,
  scan: () => scanner.open(scannedCode),
  reload: () => location.reload(),
  remove: async () => {
    await phones.remove();
    signedIn = false; // or the screen would go on to "Unlock" by itself
  },
  install: async () => {
    await installing.prompt();
    offerInstall(null);
  },
  copy: async () => {
    await navigator.clipboard.writeText(location.href);
    speak(word("copied"));
  },
};

const forms = {
  enrol: async (form) => {
    await (further.isOffered() ? further.bring(form) : enrolment.enrol(form));
    await offerNotifications();
  },
  approve: asked.approve,
  endorse: further.confirm,
};

app.addEventListener("click", (event) => {
  const button = event.target.closest("[data-do]");
  if (button) once(() => actions[button.dataset.do](button));
});

app.addEventListener("submit", (event) => {
  event.preventDefault();
  const form = event.target;
  once(() => forms[form.dataset.form](form));
});

/** A button where the browser has an offer, words where it has none, nothing where BlokKey is installed. */
function offerInstall(offer) {
  installing = offer;
  const installed = window.matchMedia("(display-mode: standalone)").matches;
  for (const button of app.querySelectorAll("[data-do=install]")) button.hidden = offer === null;
  for (const hint of app.querySelectorAll("[data-install]")) hint.hidden = offer !== null || installed;
}

/** A link inside the page moves the focus and nothing else: the address may hold a link of ours that is still needed. */
function goWithin(event) {
  const target = document.getElementById(event.target.closest('a[href^="#"]')?.hash.slice(1) ?? "");
  if (target === null) return;
  event.preventDefault();
  target.focus();
}

/** The fragment has changed under the open page: only a link of ours begins anything. */
function followed() {
  if (/^#[ipq]=/.test(location.hash)) begin();
}

async function begin() {
  take(location.hash.slice(1));
  const first = setUp();
  const missing = (await whatIsMissing()) || (first !== null && !(await canEndorse()) ? "browser" : "");
  if (missing) return lacking(missing); // and the link stays in the address, to be copied
  if (location.hash) window.history.replaceState(null, "", location.pathname); // no history keeps it
  return once(first ?? look, true);
}

(window.visualViewport ?? window).addEventListener("resize", asked.keepFactsInSight);
window.addEventListener("beforeinstallprompt", (event) => {
  event.preventDefault();
  offerInstall(event);
});
window.addEventListener("appinstalled", () => offerInstall(null));
window.addEventListener("offline", () => banner("offline", true));
window.addEventListener("online", poll);
navigator.serviceWorker?.addEventListener("message", hear);
window.addEventListener("hashchange", followed);
document.addEventListener("click", goWithin);
document.addEventListener("visibilitychange", poll);
setInterval(poll, POLL);
setInterval(second, SECOND);

// The one script address that this page ever makes from text (Trusted Types); the file is served beside the page.
const worker = window.trustedTypes?.createPolicy("blok365", { createScriptURL: () => "/sw.js" }).createScriptURL("");
navigator.serviceWorker?.register(worker ?? "/sw.js").catch(() => {}); // without it there is no page offline, that is all

offerInstall(null);
begin();
