"use strict";
// Hearing about the next state: server-sent events, polling wherever those are missing or silent.

const POLL_MS = 3000;
const SILENCE_MS = 20000; // the server sends a comment at least every 15 s, but scripts cannot see comments
const LOST_AFTER = 2; // questions without an answer, one after the other: one alone is a moment's trouble

/**
 * Call `changed(now)` when the transaction at `url` is no longer at `version` in `state`. `now`: what the server says,
 * undefined when it knows the transaction no more. `connected(yes)` is called when the connection is lost, and when it
 * is there again. Returns a function that stops.
 */
function watch(url, version, state, changed, connected) {
  let source = null;
  let poll = 0;
  let stopped = false;
  let failures = 0;

  const compare = (now) => {
    heard();
    if (!stopped && (now.version !== version || now.state !== state)) changed(now);
  };

  const heard = () => {
    if (failures >= LOST_AFTER && !stopped) connected(true);
    failures = 0;
  };
  const lost = () => {
    failures += 1;
    if (failures === LOST_AFTER && !stopped) connected(false);
  };

  async function ask() {
    if (stopped || document.visibilityState === "hidden") return;
    try {
      const response = await fetch(`${url}/state`, { headers: { Accept: "application/json" }, cache: "no-store" });
      if (response.ok) compare(await response.json());
      else if (response.status === 404 || response.status === 410) changed();
      else lost();
    } catch (error) {
      lost(); // the next round tries again
    }
  }

  const startPolling = () => {
    if (!poll && !stopped) poll = setInterval(ask, POLL_MS);
  };
  const stopPolling = () => {
    clearInterval(poll);
    poll = 0;
  };

  if (window.EventSource) {
    source = new EventSource(`${url}/events`);
    source.addEventListener("state", (event) => compare(JSON.parse(event.data)));
    source.addEventListener("open", () => {
      stopPolling();
      heard();
    });
    source.addEventListener("error", startPolling); // also while the browser reconnects by itself
  } else {
    startPolling();
  }
  // A proxy may hold a stream open and let nothing through; asking now and then finds that out.
  const distrust = setInterval(ask, SILENCE_MS);
  // The browser says so itself, much sooner; that there is a network again does not mean that we can be reached.
  const offline = () => {
    failures = Math.max(failures, LOST_AFTER - 1);
    lost();
    startPolling();
  };
  window.addEventListener("offline", offline);
  window.addEventListener("online", ask);

  return () => {
    stopped = true;
    window.removeEventListener("offline", offline);
    window.removeEventListener("online", ask);
    if (source) source.close();
    stopPolling();
    clearInterval(distrust);
  };
}
