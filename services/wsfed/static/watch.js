"use strict";
// Hearing about the next state: server-sent events, polling wherever those are missing or silent.

const POLL_MS = 3000;
const SILENCE_MS = 20000; // the server sends a comment at least every 15 s, but scripts cannot see comments

/**
 * Call `changed(now)` when the transaction at `url` is no longer at `version` in `state`. `now`: what the server says,
 * undefined when it knows the transaction no more. Returns a function that stops.
 */
function watch(url, version, state, changed) {
  let source = null;
  let poll = 0;
  let stopped = false;

  const compare = (now) => {
    if (!stopped && (now.version !== version || now.state !== state)) changed(now);
  };

  async function ask() {
    if (stopped || document.visibilityState === "hidden") return;
    try {
      const response = await fetch(`${url}/state`, { headers: { Accept: "application/json" }, cache: "no-store" });
      if (response.ok) compare(await response.json());
      else if (response.status === 404 || response.status === 410) changed();
    } catch (error) {
      // no network: the next round
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
    source.addEventListener("open", stopPolling);
    source.addEventListener("error", startPolling); // also while the browser reconnects by itself
  } else {
    startPolling();
  }
  // A proxy may hold a stream open and let nothing through; asking now and then finds that out.
  const distrust = setInterval(ask, SILENCE_MS);

  return () => {
    stopped = true;
    if (source) source.close();
    stopPolling();
    clearInterval(distrust);
  };
}
