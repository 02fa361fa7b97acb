// Run by mongosh in docker-compose.yml: makes the replica set and the service's user where they are missing. Safe to
// repeat. The passwords are read from files, so that no list of processes shows them.
const fs = require("fs");
const secret = (name) => fs.readFileSync(`/run/secrets/${name}`, "utf8").trim();
const database = process.env.SONGS_MONGO_DATABASE;
const uri = `mongodb://root:${secret("mongo_root_password")}@mongo:27017/admin?directConnection=true`;
const admin = new Mongo(uri).getDB("admin");

try {
  admin.adminCommand({ replSetGetStatus: 1 });
} catch (error) {
  if (error.codeName !== "NotYetInitialized") throw error;
  admin.adminCommand({ replSetInitiate: { _id: "songs", members: [{ _id: 0, host: "mongo:27017" }] } });
  print("made the replica set");
}
while (!admin.hello().isWritablePrimary) sleep(200);

const roles = [{ role: "readWrite", db: database }, { role: "dbAdmin", db: database }];
if (admin.getUser("songs") === null) {
  admin.createUser({ user: "songs", pwd: secret("mongo_password"), roles });
  print("made the user");
} else {
  admin.updateUser("songs", { pwd: secret("mongo_password"), roles });
}
