// What this phone keeps between visits: the session's `token`, and the id of the `credential` (no secret: it spares a
// choice between accounts). Tabs share it. Where a browser keeps nothing, it lasts as long as the page.

const STORE = "kept";
const inMemory = new Map();

const opened = new Promise((resolve) => {
  try {
    const opening = indexedDB.open("blokkey", 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(STORE);
    opening.onsuccess = () => resolve(opening.result);
    opening.onerror = () => resolve(null);
  } catch {
    resolve(null);
  }
});

async function inStore(mode, use) {
  const database = await opened;
  if (database === null) throw new Error("this browser keeps nothing");
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(STORE, mode);
    const asked = use(transaction.objectStore(STORE));
    transaction.oncomplete = () => resolve(asked.result ?? null);
    transaction.onabort = () => reject(transaction.error);
  });
}

/** The value, or null. Another tab may have changed it. */
export async function read(name) {
  return inStore("readonly", (store) => store.get(name)).catch(() => inMemory.get(name) ?? null);
}

export async function keep(name, value) {
  inMemory.set(name, value);
  await inStore("readwrite", (store) => store.put(value, name)).catch(() => {});
}

export async function forget(name) {
  inMemory.delete(name);
  await inStore("readwrite", (store) => store.delete(name)).catch(() => {});
}
