// Run by mongosh in docker-compose.yml: makes the replica set and the service's user where they are missing, and ends
// when there is a primary. Safe to repeat. Passwords are read from files, so that no list of processes shows them.
const fs = require("fs");
const secret = (name) => fs.readFileSync(`/run/secrets/${name}`, "utf8").trim();
const database = process.env.SONGS_MONGO_DATABASE;
const uri = `mongodb://root:${secret("mongo_root_password")}@mongo:27017/admin?directConnection=true`;
const endsAt = Date.now() + 120_000;

// Returns what `attempt` does, once it is not null and no error.
function patiently(attempt) {
  for (;;) {
    try {
      const found = attempt();
      if (found !== null) return found;
    } catch (error) {
      if (Date.now() > endsAt) throw error;
    }
    if (Date.now() > endsAt) throw new Error("no primary after 120 s");
    sleep(500);
  }
}

function isInitiated(admin) {
  try {
    admin.adminCommand({ replSetGetStatus: 1 });
    return true;
  } catch (error) {
    if (error.codeName === "NotYetInitialized") return false;
    throw error;
  }
}

const admin = patiently(() => new Mongo(uri).getDB("admin"));
if (!patiently(() => isInitiated(admin))) {
  admin.adminCommand({ replSetInitiate: { _id: "songs", members: [{ _id: 0, host: "mongo:27017" }] } });
  print("made the replica set");
}
patiently(() => (admin.hello().isWritablePrimary ? true : null));

const roles = [
  { role: "readWrite", db: database },
  { role: "dbAdmin", db: database },
];
const user = { pwd: secret("mongo_password"), roles };
if (patiently(() => admin.getUser("songs") ?? false)) {
  admin.updateUser("songs", user);
} else {
  admin.createUser({ user: "songs", ...user });
  print("made the user");
}
