// Run by mongosh at every start, harmless again: founds the replica set, waits until it takes writes, and gives each
// service a user that can read and write its own database and nothing else.
// The member's host is the name that every client resolves, not localhost: drivers connect to what it says.
const { readFileSync } = require("fs");
const password = encodeURIComponent(readFileSync("/run/blok365/root", "utf8"));
const server = connect(`mongodb://root:${password}@mongo:27017/admin?directConnection=true`);

const config = { _id: "rs0", members: [{ _id: 0, host: "mongo:27017" }] };
try {
  server.adminCommand({ replSetInitiate: config });
  print("replica set rs0: founded");
} catch (error) {
  if (error.codeName !== "AlreadyInitialized") throw error;
  print("replica set rs0: was there");
}

let primary = false;
for (let turn = 0; turn < 300 && !primary; turn += 1) {
  primary = server.adminCommand({ hello: 1 }).isWritablePrimary;
  if (!primary) sleep(100);
}
if (!primary) throw new Error("replica set rs0 has no primary after 30 s");

const users = JSON.parse(readFileSync("/run/blok365/users.json", "utf8"));
for (const [database, [user, pwd]] of Object.entries(users)) {
  const own = server.getSiblingDB(database);
  const rights = { pwd, roles: [{ role: "readWrite", db: database }] };
  if (own.getUser(user)) own.updateUser(user, rights);
  else own.createUser({ user, ...rights });
}
print(`replica set rs0: primary; users of ${Object.keys(users).join(", ")}`);
