// A GGUF file as llama.cpp has it, by the npm package node-llama-cpp with its prebuilt library.
//
//   node llama_cpp.mjs MODEL.gguf ASKED.json > SAID.json
//
// ASKED.json: {"texts": [TEXT, ...], "prompts": [[TOKEN, ...], ...], "new_tokens": N, "evaluated": [[TOKEN, ...], ...],
// "lora": FILE}; the last, a GGUF adapter, may be missing.
// SAID.json: {"tokens": [[TOKEN, ...], ...] of the texts, special tokens found in them and none added, "answers": [[TOKEN, ...], ...],
// greedy, "nats": [NUMBER, ...], the sum over each evaluated sequence of what each token but the first costs}.
import fs from "node:fs";
import {createRequire} from "node:module";
import path from "node:path";
import {pathToFileURL} from "node:url";

const require = createRequire(path.join(process.env.NODE_LLAMA_CPP ?? process.cwd(), "x.js"));
const {getLlama, TokenBias} = await import(pathToFileURL(require.resolve("node-llama-cpp")));
const [file, asked] = process.argv.slice(2);
const {texts, prompts, new_tokens, evaluated, lora} = JSON.parse(fs.readFileSync(asked));
const llama = await getLlama({gpu: false, logLevel: "error"});
const model = await llama.loadModel({modelPath: file, defaultContextFlashAttention: false});
const tokens = texts.map((text) => Array.from(model.tokenize(text, true)));
// One thread: several wait for one another at full speed, which on a machine with other work takes longer.
const context = await model.createContext({threads: 1, contextSize: 2048, sequences: 1, ...(lora && {lora: {adapters: [{filePath: lora, scale: 1}]}})});
const sequence = context.getSequence();
const answers = [];
for (const prompt of prompts) {
    await sequence.clearHistory();
    const answer = [];
    for await (const token of sequence.evaluate(prompt, {temperature: 0, yieldEogToken: true})) {
        answer.push(token);
        if (answer.length >= new_tokens || model.isEogToken(token)) break;
    }
    answers.push(answer);
}
const nats = [];
for (const ids of evaluated) {
    await sequence.clearHistory();
    // The logit of the token that stands there, that of the likeliest one, and what all come to beside it: a table of every token's
    // probability is forty times as slow.
    const logits = (id) => ({generateNext: {totalLogitWeight: true, logits: {filter: {tokens: [id], includeSelected: true}}, options: {temperature: 0}}});
    const output = await sequence.controlledEvaluate(ids.map((id, at) => at + 1 < ids.length ? [id, logits(ids[at + 1])] : id));
    let sum = 0;
    for (let at = 0; at + 1 < ids.length; at++) {
        const {logits, totalLogitWeight} = output[at].next;
        sum += Math.log(totalLogitWeight) + Math.max(...logits.values()) - logits.get(ids[at + 1]);
    }
    nats.push(sum);
}
console.log(JSON.stringify({tokens, answers, nats}));
process.exit(0);
