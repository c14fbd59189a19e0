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
const context = await model.createContext({threads: 2, contextSize: 2048, sequences: 1, ...(lora && {lora: {adapters: [{filePath: lora, scale: 1}]}})});
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
    const input = ids.map((id, at) => at + 1 < ids.length ? [id, {generateNext: {probabilities: true}}] : id);
    const output = await sequence.controlledEvaluate(input);
    let sum = 0;
    for (let at = 0; at + 1 < ids.length; at++) sum -= Math.log(output[at].next.probabilities.get(ids[at + 1]) ?? 1e-30);
    nats.push(sum);
}
console.log(JSON.stringify({tokens, answers, nats}));
process.exit(0);
