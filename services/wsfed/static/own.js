"use strict";
// The person's own page while something that was asked for is not confirmed yet: it looks again each second, exchanges
// <main>, and says what became of it. Without this file the link "Check again" does the same.

const AGAIN = 1000; // ms

function waits() {
  const link = document.querySelector("[data-waiting]");
  if (!link) return;
  link.hidden = true;
  setTimeout(lookAgain, AGAIN);
}

async function lookAgain() {
  try {
    show(await fetchPage(window.location.href), { quiet: true });
    const results = [...document.querySelectorAll("[data-result]")].map((each) => each.textContent.trim());
    const status = document.getElementById("status");
    if (status.textContent !== results.join(" ")) status.textContent = results.join(" ");
  } catch (error) {
    // No network just now: the next time, perhaps.
  }
  waits();
}

waits();
