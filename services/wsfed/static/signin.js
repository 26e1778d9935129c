"use strict";
// The sign-in page, alive. Without this file everything still works as plain forms and links, which are in the page and
// visible until this file has begun to work.
//
// These files are plain scripts in ES2017, one after the other in signin.html, because the web views in which people
// sign in to Windows and older applications know no more. Each may use what the ones before it declare.
//
// The server draws every state. Here we only listen for the next one, fetch the page again and exchange
// <main>, move the focus, speak, count down, and post the proved transaction on, once.

// A file that did not come ends this one here, before it has hidden what works without it.
void [startTimer, watch, fetchPage, postForJson, show, isSupported, usePasskey];

const QUIET = { quiet: true };
let stopWatching = () => {};
let stopTimers = () => {};
let continued = false;
let started = false;
let passkey = ""; // what is said of it: asking, stopped, refused
let announced = ""; // the request that the other tabs were told of
const tabs = window.BroadcastChannel ? new BroadcastChannel("blok365-signin") : null;
const held = window.matchMedia("(hover: none) and (pointer: coarse)"); // perhaps the phone that has the key

/** The card of this state, or null on a page that is none of ours (a refusal). */
const card = () => document.getElementById("page");

function say(text) {
  const status = document.getElementById("status");
  if (text && status.textContent !== text) status.textContent = text;
}

/** Make the page that is shown now work: called at load and after each exchange. */
function begin() {
  stopWatching();
  stopTimers();
  const page = card();
  if (!page) return;
  drawn();
  for (const form of document.querySelectorAll("form[data-live]")) form.addEventListener("submit", submitted);
  tellTabs(page);
  const timers = [startCountdown(page), startQr(page)];
  stopTimers = () => timers.forEach((stop) => stop());
  if ("watch" in page.dataset) {
    stopWatching = watch(`/signin/${page.dataset.txn}`, Number(page.dataset.version), page.dataset.state, (now) => {
      // The server may see the end of a QR code before our timer does.
      if (now && now.state === "proved") goOn();
      else if (now && now.state === "expired") over();
      else refresh();
    }, connected);
  }
  const summary = document.getElementById("summary");
  if (summary) summary.focus();
  for (const each of document.querySelectorAll("[data-look-again]")) each.hidden = true;
  if (page.dataset.state === "proved") goOn();
  // The server allows it on a browser that it knows for this account, and only before anything was asked.
  if ("autostart" in page.dataset && !started) {
    started = true;
    send(page.querySelector("form[data-live]"));
  }
}

/** Tell the other tabs of a new request, so that they look whether it takes the place of theirs. */
function tellTabs(page) {
  const request = `${page.dataset.txn}/${page.dataset.version}`;
  if (!tabs || !page.querySelector("[data-code], .qr") || request === announced) return;
  announced = request;
  tabs.postMessage("asked");
}

/** Say that the connection is lost; what the page shows may have changed meanwhile. */
function connected(yes) {
  const notice = document.getElementById("lost");
  if (!notice) return;
  notice.hidden = yes;
  say(yes ? notice.dataset.back : notice.textContent.trim());
}

/** Approved: ask for the token, once. The page that waits carries the form already. */
function goOn() {
  if (continued) return;
  continued = true;
  document.getElementById("continue").submit();
}

function startCountdown(page) {
  const timer = page.querySelector("[data-timer]");
  if (!timer) return () => {};
  const left = timer.querySelector("[data-left]");
  const ring = timer.querySelector(".left");
  return startTimer(Number(timer.dataset.timer), (seconds) => {
    ring.setAttribute("stroke-dasharray", `${(100 * seconds) / timer.dataset.whole} 100`);
    left.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
    if (seconds === 60) say(timer.dataset.at60);
    if (seconds === 20) say(timer.dataset.at20);
  }, () => refresh());
}

function startQr(page) {
  const qr = page.querySelector("[data-expires-in]");
  return qr ? startTimer(Number(qr.dataset.expiresIn), () => {}, over) : () => {};
}

/** What is shown is over: a QR code is renewed, as long as the server allows it. */
function over() {
  const renew = document.getElementById("renew");
  // A renewed code moves no focus and says nothing: the person did nothing and need not know.
  if (renew) send(renew, QUIET);
  else refresh();
}

async function submitted(event) {
  event.preventDefault();
  const button = event.currentTarget.querySelector("button");
  if (button.getAttribute("aria-disabled") === "true") return; // a second press while the first is on its way
  button.setAttribute("aria-disabled", "true");
  await send(event.currentTarget);
}

/** What depends on the device that shows the page. Called at load, and before the focus moves after each exchange. */
function drawn() {
  offerPasskey();
  if (!held.matches) return;
  for (const each of document.querySelectorAll("[data-held]")) each.textContent = each.dataset.held;
  const other = document.querySelector(".other-phone");
  if (other && !("drawn" in other.dataset)) other.open = false;
  if (other) other.dataset.drawn = ""; // from here on it is as the person leaves it
}

/** Show the passkey's button where the browser can use one; on a phone it comes first. */
function offerPasskey() {
  const panel = document.getElementById("passkey");
  if (!panel || !isSupported()) return;
  for (const without of document.querySelectorAll("[data-without-passkey]")) without.hidden = true;
  const main = document.querySelector("form[data-live] .button:not(.secondary)");
  if (held.matches && main) {
    main.closest("form").before(panel);
    main.classList.add("secondary");
    panel.querySelector("button").classList.remove("secondary");
    for (const each of document.querySelectorAll("[data-passkey-first]")) each.textContent = each.dataset.passkeyFirst;
  }
  panel.hidden = false;
  panel.querySelector("form").addEventListener("submit", passkeyPressed);
  tell(passkey);
}

/** Say where the passkey stands; an empty text says nothing. */
function tell(what, aloud = false) {
  passkey = what;
  for (const each of document.querySelectorAll("[data-passkey]")) {
    const now = each.dataset.passkey === what;
    each.hidden = !now || what === "accepted";
    if (now && aloud) say(each.textContent);
  }
  const button = document.querySelector("#passkey button");
  if (!button) return;
  if (what === "asking") button.setAttribute("aria-disabled", "true");
  else button.removeAttribute("aria-disabled");
}

async function passkeyPressed(event) {
  event.preventDefault();
  if (passkey === "asking") return; // the dialog is open
  tell("asking", true);
  try {
    const outcome = await usePasskey(event.currentTarget);
    tell(outcome === "changed" ? "" : outcome, true);
    // After a refusal the page brings the challenge for another try.
    if (outcome !== "stopped") await look();
  } catch (error) {
    tell("");
    unreachable();
  }
}

async function send(form, how = {}) {
  stopWatching();
  try {
    exchange(await fetchPage(form.action, new URLSearchParams(new FormData(form))), how);
  } catch (error) {
    // Never sent again by itself: it may have arrived, and a second push would look like an attack.
    unreachable();
  }
}

/** The post got no answer: say so, free the buttons, and find out what is true as soon as that works. */
function unreachable() {
  const notice = document.getElementById("offline");
  if (!notice) return;
  notice.hidden = false;
  say(notice.textContent.trim());
  for (const button of document.querySelectorAll("button[aria-disabled]")) button.removeAttribute("aria-disabled");
  if ("watch" in card().dataset) begin();
}

/** The server knows something new, or the page was away: draw what is true now. */
async function refresh() {
  const page = card();
  if (!page || continued) return;
  try {
    await look();
  } catch (error) {
    // No network just now. Watching goes on and comes back here.
  }
}

/** Get the page as it is now. */
async function look() {
  const page = card();
  const next = await fetchPage(`/signin/${page.dataset.txn}`);
  if (continued) return;
  const to = next.getElementById("page");
  const same = to && to.dataset.state === page.dataset.state && to.dataset.version === page.dataset.version;
  exchange(next, { quiet: same });
}

function exchange(next, how) {
  const quiet = how.quiet && stateOf(next) === stateOf(document);
  if (!quiet && passkey !== "asking") passkey = "";
  show(next, { quiet, drawn });
  begin();
  if (!quiet && card()) say(card().dataset.say);
}

/** The state that a page shows; empty on a page that is none of ours. */
function stateOf(shown) {
  const page = shown.getElementById("page");
  return page ? page.dataset.state : "";
}

// A page kept alive by the browser comes back as it was left: Back, or a phone that slept.
window.addEventListener("pageshow", (event) => {
  if (event.persisted) {
    continued = false;
    refresh();
  }
});
/** Another tab has asked, or signed in: this one may be over, or may go on with that session. */
function follow() {
  if (card() && "follow" in card().dataset) refresh();
}
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") follow();
});
if (tabs) tabs.addEventListener("message", follow);
window.addEventListener("online", () => {
  const notice = document.getElementById("offline");
  if (notice) notice.hidden = true;
});

begin();
