// Notifications on this phone: turned on by a tap, and kept true by itself.
//
// A browser has one push subscription, and each account keeps a copy of it at the server, sealed for the service that
// sends. What is kept here of that (`push` of an account, storage.js) is the id that the server gave and the endpoint
// that was sent. So a subscription that the browser has renewed, in whose place another one was put, or that an account
// does not have yet is sent by itself; one that the push service has ended is not, since it is dead.

import { call } from "./api.js";
import { fromBase64url } from "./octets.js";
import { app, speak, word } from "./screens.js";
import { accounts, keepPush } from "./storage.js";

const PATIENCE = 15_000; // ms that the browser gets: where no push service answers, some never do

let drawn = "";
let busy = false;
let taps = 0; // what was looked up before a tap is not drawn after it
let current = true; // whether the subscription was made for the key that the server pushes with now
const tried = new Set(); // what was sent by itself since the page was opened: never the same again

const isSupported = () => "serviceWorker" in navigator && "PushManager" in window && "Notification" in window;
const isInstalled = () => window.matchMedia("(display-mode: standalone)").matches;

/** The promise's value, or TimeoutError. */
function limited(promise) {
  const late = new Promise((_, reject) => {
    setTimeout(() => reject(new DOMException("the browser does not answer", "TimeoutError")), PATIENCE);
  });
  return Promise.race([promise, late]);
}

async function pushManager() {
  const { pushManager: manager } = await limited(navigator.serviceWorker.ready);
  return manager;
}

/** Show that state on the screens that have room for it. */
function draw(state) {
  drawn = state;
  for (const block of app.querySelectorAll("[data-notifications]")) block.hidden = state === "";
  for (const each of app.querySelectorAll("[data-push]")) each.hidden = !each.dataset.push.split(" ").includes(state);
}

/** Look how it stands, send what is missing, and show it. `entries`: the accounts with what the API said (news.js). */
export async function tend(entries) {
  if (busy) return;
  busy = true;
  const before = taps;
  try {
    const state = await stateOf(entries.filter((entry) => entry.asked));
    if (taps === before) draw(state);
  } catch {
    // No network, or a browser that does not answer: the next time.
  } finally {
    busy = false;
  }
}

async function stateOf(asked) {
  if (!isSupported()) return isInstalled() ? "unsupported" : "home_screen";
  if (Notification.permission === "denied") return "denied";
  if (asked.length === 0) return ""; // nobody knows
  const manager = await pushManager();
  const own = await limited(manager.getSubscription());
  if (own === null || Notification.permission !== "granted") {
    if (drawn === "failed") return drawn;
    return asked.some((entry) => entry.notifications === "ended") ? "ended" : "off";
  }
  await checkKey(own);
  if (!current) return "ended";
  for (const entry of asked) {
    const sent = entry.push?.endpoint === own.endpoint;
    if (sent && entry.push.id === entry.subscription) continue;
    if (sent && entry.notifications === "ended") return "ended";
    const what = [entry.credential, own.endpoint, entry.subscription].join(" ");
    if (tried.has(what)) return "ended";
    tried.add(what);
    await send(entry, own);
  }
  return "on";
}

/** Once, when the page was opened: a subscription is good for one key of the server's (RFC 8292, section 4). */
async function checkKey(own) {
  const made = own.options?.applicationServerKey;
  if (!made || tried.has("key")) return;
  const { key } = await call("GET", "/push-key");
  tried.add("key");
  const now = fromBase64url(key);
  const then = new Uint8Array(made);
  current = now.length === then.length && now.every((octet, place) => octet === then[place]);
}

async function send(entry, subscription) {
  const { subscription: id } = await call("POST", "/push-subscription", subscription.toJSON(), entry);
  if (typeof id === "string") await keepPush(entry.credential, { id, endpoint: subscription.endpoint });
}

/** By a tap, because a browser asks the person only then. What was subscribed to before is given up. */
export async function turnOn() {
  const permission = await Notification.requestPermission(); // first of all, while the tap counts
  if (permission !== "granted") return say(permission === "denied" ? "denied" : "off");
  try {
    const [{ key }, manager] = await Promise.all([call("GET", "/push-key"), pushManager()]);
    await (await limited(manager.getSubscription()))?.unsubscribe();
    const options = { userVisibleOnly: true, applicationServerKey: fromBase64url(key) };
    const made = await limited(manager.subscribe(options));
    for (const entry of await accounts()) {
      if (entry.token !== null) await send(entry, made);
    }
    current = true;
  } catch {
    return say("failed");
  }
  say("on");
}

/** For all accounts of this phone. The server is asked first: what it cannot be told, it learns from the push service. */
export async function turnOff() {
  await forgetAtServer();
  const manager = await pushManager();
  await (await limited(manager.getSubscription()))?.unsubscribe();
  say("off");
}

/** Locking stops them until the phone is unlocked; the browser's subscription stays. */
export async function forgetAtServer() {
  for (const entry of await accounts()) {
    if (entry.token === null || !entry.push) continue;
    await call("DELETE", "/push-subscription", undefined, entry).catch(() => {});
    await keepPush(entry.credential, null);
  }
}

/** After a tap: the button is gone, so the focus goes to the heading above it. */
function say(state) {
  taps += 1;
  const block = document.activeElement?.closest("[data-notifications]");
  draw(state);
  block?.querySelector("h2").focus();
  speak(word(`push_${state}`));
}
