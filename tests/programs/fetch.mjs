const answer = await fetch(process.env.BASE + "/");
console.log(answer.status, await answer.text());
