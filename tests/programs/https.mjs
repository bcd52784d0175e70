import https from "node:https";
https.get(process.env.BASE + "/", (answer) => answer.pipe(process.stdout));
