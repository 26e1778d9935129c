// BlokKey's service worker: the page opens without a network too, and says there what it cannot do.
//
// The page is asked for each time and kept for when there is no answer; the files under /static/ have names that change
// with their content, so what was kept of them stays true. It never touches /api/: what the API says is kept nowhere.

const CACHE = "blokkey";
const PAGE = "/";

self.addEventListener("install", (event) => event.waitUntil(keepShell()));

self.addEventListener("fetch", (event) => {
  const { origin, pathname } = new URL(event.request.url);
  if (origin !== location.origin || event.request.method !== "GET") return;
  if (event.request.mode === "navigate" && pathname === PAGE) event.respondWith(page(event.request));
  else if (pathname.startsWith("/static/")) event.respondWith(file(event.request));
});

/** The page and the files that it names. */
async function keepShell() {
  const cache = await caches.open(CACHE);
  const answer = await fetch(PAGE);
  if (!answer.ok) throw new Error("no page to keep");
  const text = await answer.clone().text();
  const files = [...text.matchAll(/(?:href|src)="(\/static\/[^"]+)"/g)].map(([, path]) => path);
  await cache.addAll([...new Set(files)]);
  await cache.put(PAGE, answer);
}

async function page(request) {
  const cache = await caches.open(CACHE);
  let answer;
  try {
    answer = await fetch(request);
  } catch (error) {
    const kept = await cache.match(PAGE, { ignoreVary: true });
    if (kept === undefined) throw error;
    return kept;
  }
  if (answer.ok) await cache.put(PAGE, answer.clone());
  return answer;
}

async function file(request) {
  const cache = await caches.open(CACHE);
  const kept = await cache.match(request, { ignoreVary: true });
  if (kept !== undefined) return kept;
  const answer = await fetch(request);
  if (answer.ok) {
    await cache.put(request, answer.clone());
    await forgetOlder(cache, request);
  }
  return answer;
}

/** Remove what an earlier version of the page needed: the same `/static/{name}/` with another hash. */
async function forgetOlder(cache, { url }) {
  const [, , name, hash] = new URL(url).pathname.split("/");
  for (const kept of await cache.keys()) {
    const [, folder, other, itsHash] = new URL(kept.url).pathname.split("/");
    if (folder === "static" && other === name && itsHash !== hash) await cache.delete(kept);
  }
}
