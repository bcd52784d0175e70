import Anthropic from "@anthropic-ai/sdk";
const client = new Anthropic({ baseURL: process.env.BASE, apiKey: "none", maxRetries: 0 });
console.log(await client.models.list());
