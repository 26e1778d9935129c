"use strict";
// Counting down. The seconds come from the server, so a wrong clock on this machine changes nothing.

/**
 * Call `tick(secondsLeft)` once a second, and `end()` one second after zero. Returns a function that stops.
 */
function startTimer(seconds, tick, end) {
  const until = performance.now() + seconds * 1000;
  let shown = seconds;
  const interval = setInterval(() => {
    const left = Math.ceil((until - performance.now()) / 1000);
    // After a sleep many seconds pass at once: the milestones in between are told, not skipped.
    while (shown > Math.max(left, 0)) tick((shown -= 1));
    if (left < 0) {
      clearInterval(interval);
      end();
    }
  }, 250);
  return () => clearInterval(interval);
}
