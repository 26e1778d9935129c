// What is open on all accounts of this phone. One question to the API for each session.

import { Refused, call } from "./api.js";
import { isReadable } from "./request.js";
import { accounts, forget } from "./storage.js";

/** Codes after which a phone's key is of no use any more. */
export const NO_LONGER_HERE = ["device_removed", "refused", "unknown_device"];

/**
 * `{entries, sessions, requests, unreadable, connected, gone, trouble}`. `entries`: the accounts, with `waiting` where
 * the organisation has not confirmed this phone yet, `asked` where the API answered, and what it said of notifications:
 * `notifications` (on, off, ended) and the id of the `subscription` that it has. `requests`: those whose text
 * can be shown, each with its `entry`. `unreadable`: how many cannot. `gone`: why a key was forgotten, or null.
 * `trouble`: any other refusal.
 */
export async function gather() {
  const news = { entries: [], sessions: 0, requests: [], unreadable: 0, connected: true, gone: null, trouble: null };
  await Promise.all((await accounts()).map(async (entry, place) => {
    news.entries[place] = entry;
    if (entry.token === null) return;
    try {
      const answer = await call("GET", "/challenges", undefined, entry);
      const { challenges, notifications, subscription } = answer;
      if (!Array.isArray(challenges)) throw new Refused(0, "other", entry);
      const said = { waiting: answer.waiting === true, notifications, subscription, asked: true, listed: challenges };
      news.entries[place] = { ...entry, ...said };
      news.sessions += 1;
    } catch (error) {
      await missing(news, entry, place, error);
    }
  }));
  if (news.sessions === 0 && !navigator.onLine) news.connected = false; // nobody was asked
  news.entries = news.entries.filter((entry) => entry !== null);
  for (const entry of news.entries) {
    for (const each of entry.listed ?? []) {
      if (isReadable(each)) news.requests.push({ ...each, entry, came: performance.now() });
      else news.unreadable += 1;
    }
  }
  return news;
}

async function missing(news, entry, place, error) {
  if (NO_LONGER_HERE.includes(error.code)) {
    await forget(entry.credential);
    news.entries[place] = null;
    news.gone = error.code;
  } else if (error.status === 401) {
    news.entries[place] = { ...entry, token: null };
  } else {
    news.sessions += 1; // not over, as far as anybody knows
    if (error.code === "unavailable") news.connected = false;
    else news.trouble = error;
  }
}
