// What this phone keeps between visits: one entry for each account, `{credential, token, account, organisation, push}`.
// The credential's id is no secret: it spares a choice between keys. The token is the session's, null while there is
// none; account and organisation are names for the eye. `push`: which push subscription the server has of it
// (notifications.js), missing or null where none was sent. Tabs share it. Where a browser keeps nothing, it lasts as long
// as the page.

const STORE = "accounts";
const inMemory = new Map();

const opened = new Promise((resolve) => {
  try {
    const opening = indexedDB.open("blokkey", 2);
    opening.onupgradeneeded = () => {
      const { result: database } = opening;
      for (const name of database.objectStoreNames) database.deleteObjectStore(name); // of version 1: unlock once more
      database.createObjectStore(STORE, { keyPath: "credential" });
    };
    opening.onsuccess = () => {
      opening.result.onversionchange = () => opening.result.close(); // a newer page in another tab
      resolve(opening.result);
    };
    opening.onerror = () => resolve(null);
  } catch {
    resolve(null);
  }
});

/** Reads and writes in one transaction: `use` gets the store. Rejects where the browser keeps nothing. */
async function inStore(mode, use) {
  const database = await opened;
  if (database === null) throw new Error("this browser keeps nothing");
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(STORE, mode);
    const asked = use(transaction.objectStore(STORE));
    transaction.oncomplete = () => resolve(asked?.result);
    transaction.onabort = () => reject(transaction.error);
  });
}

/** All accounts of this phone by name, as they are now: another tab may have changed them. Names are text. */
export async function accounts() {
  const found = await inStore("readonly", (store) => store.getAll()).catch(() => [...inMemory.values()]);
  return found.sort((one, other) => one.account.localeCompare(other.account));
}

/** Add an account. An older key of the same account is of no use any more, and returned with its session. */
export async function keep(entry) {
  const same = (each) => each.account === entry.account && each.organisation === entry.organisation;
  const older = (await accounts()).filter((each) => same(each) && each.credential !== entry.credential);
  for (const each of older) await forget(each.credential);
  inMemory.set(entry.credential, entry);
  await inStore("readwrite", (store) => store.put(entry)).catch(() => {});
  return older;
}

/** The key of that id is of no use any more. */
export async function forget(credential) {
  inMemory.delete(credential);
  await inStore("readwrite", (store) => store.delete(credential)).catch(() => {});
}

/** That session is over, unless another tab has opened a new one since. */
export const forgetToken = ({ credential, token }) => change(credential, { token: null }, (found) => found.token === token);

/** Which push subscription the server has of that account: `{id, endpoint}`, or null. */
export const keepPush = (credential, push) => change(credential, { push });

/** Put these fields into the account's entry as it is now, if there is one and it is such as asked for. */
async function change(credential, fields, isSuch = () => true) {
  const fits = (found) => found !== undefined && isSuch(found);
  if (fits(inMemory.get(credential))) inMemory.set(credential, { ...inMemory.get(credential), ...fields });
  await inStore("readwrite", (store) => {
    const asked = store.get(credential);
    asked.onsuccess = () => {
      if (fits(asked.result)) store.put({ ...asked.result, ...fields });
    };
  }).catch(() => {});
}
