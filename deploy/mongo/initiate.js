// Run once by mongosh (and harmless again): founds the replica set and waits until it takes writes.
// The member's host is the name that every client resolves, not localhost: drivers connect to what it says.
const user = encodeURIComponent(process.env.MONGO_INITDB_ROOT_USERNAME);
const password = encodeURIComponent(process.env.MONGO_INITDB_ROOT_PASSWORD);
const admin = connect(`mongodb://${user}:${password}@mongo:27017/admin?directConnection=true`);

const config = { _id: "rs0", members: [{ _id: 0, host: "mongo:27017" }] };
try {
  admin.adminCommand({ replSetInitiate: config });
  print("replica set rs0: founded");
} catch (error) {
  if (error.codeName !== "AlreadyInitialized") throw error;
  print("replica set rs0: was there");
}

let primary = false;
for (let turn = 0; turn < 120 && !primary; turn += 1) {
  primary = admin.adminCommand({ hello: 1 }).isWritablePrimary;
  if (!primary) sleep(250);
}
if (!primary) throw new Error("replica set rs0 has no primary after 30 s");
print("replica set rs0: primary");
