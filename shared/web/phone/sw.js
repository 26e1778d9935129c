// BlokKey's service worker: it shows notifications, and the page opens without a network too and says there what it
// cannot do.
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

// Push messages hold `{v, kind, id}` and no words (docs/flows/notification.md, step 6): what is shown is chosen here, so
// whoever could send a push could not make this phone say anything of theirs.

const WORDS = {
  en: {
    request: ["Sign-in request", "A sign-in request is waiting. Open BlokKey if it is yours."],
    device_added: ["Phone added", "A phone was added to your account. If it wasn't you, tell your administrator at once."],
    device_removed: [
      "Phone removed",
      "A phone was removed from your account. If it wasn't you, tell your administrator at once.",
    ],
    other: ["BlokKey", "Open BlokKey to see what is new."],
  },
  fr: {
    request: ["Demande de connexion", "Une demande de connexion vous attend. Ouvrez BlokKey si elle vient de vous."],
    device_added: [
      "Téléphone ajouté",
      "Un téléphone a été ajouté à votre compte. Si ce n'était pas vous, prévenez tout de suite votre administrateur.",
    ],
    device_removed: [
      "Téléphone retiré",
      "Un téléphone a été retiré de votre compte. Si ce n'était pas vous, prévenez tout de suite votre administrateur.",
    ],
    other: ["BlokKey", "Ouvrez BlokKey pour voir ce qu'il y a de nouveau."],
  },
};

self.addEventListener("push", (event) => event.waitUntil(tell(event.data)));
self.addEventListener("notificationclick", (event) => event.waitUntil(open(event.notification)));
self.addEventListener("pushsubscriptionchange", (event) => event.waitUntil(renew(event)));

/** Show it. Browsers want something to be shown of every push, so what is not understood has words too. */
async function tell(data) {
  const { kind, id } = read(data);
  const lang = /^fr(-|$)/i.test(self.navigator.language) ? "fr" : "en"; // as the page's is chosen
  const [title, body] = WORDS[lang][kind];
  const before = await self.registration.getNotifications({ tag: kind });
  const icon = "/static/phone/latest/icon-192.png";
  // A newer one takes the place of the older one of its kind, and is heard; the same one again is not.
  const renotify = !before.some((each) => each.data?.id === id);
  await self.registration.showNotification(title, { body, lang, icon, tag: kind, renotify, data: { id } });
  await pages((page) => page.postMessage({ news: true }));
}

function read(data) {
  try {
    const { kind, id } = data.json();
    return { kind: Object.hasOwn(WORDS.en, kind) ? kind : "other", id: typeof id === "string" ? id : "" };
  } catch {
    return { kind: "other", id: "" };
  }
}

/** The page looks for itself what there is to see: nothing of a push leads it anywhere. */
async function open(notification) {
  notification.close();
  const found = await self.clients.matchAll({ type: "window" });
  const page = found.find((each) => each.visibilityState === "visible") ?? found[0];
  if (page === undefined) return self.clients.openWindow(PAGE);
  page.postMessage({ tapped: true });
  return page.focus();
}

/** The browser changes its subscription. The page sends the new one when it is opened next: this file knows no session. */
async function renew({ oldSubscription, newSubscription }) {
  const options = oldSubscription?.options;
  if (!newSubscription && options) await self.registration.pushManager.subscribe(options);
  await pages((page) => page.postMessage({ news: true }));
}

async function pages(each) {
  for (const page of await self.clients.matchAll({ type: "window" })) each(page);
}
