// Runs an exported generator: a list of steps, each one layer, and one block of weights. report/browser_net.py writes both;
// STEPS holds a function (x, step, y) for each kind of layer, which stands with that kind in layers.py.
"use strict";

const bytesOf = (base64) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));

// A float32 array; or whole numbers of some bits, packed, times a scale for each row of the last axis.
function arrayOf(buffer, { at, shape, bits, scales }) {
  const length = shape.reduce((a, b) => a * b, 1);
  if (!bits) return new Float32Array(buffer, at, length);
  const bytes = new Uint8Array(buffer, at), scale = arrayOf(buffer, scales), width = shape[shape.length - 1];
  const zero = 1 << (bits - 1), out = new Float32Array(length);
  for (let i = 0; i < length; i++) {
    const first = i * bits, byte = first >> 3;
    const three = (bytes[byte] << 16) | (bytes[byte + 1] << 8) | bytes[byte + 2];
    const level = (three >> (24 - bits - (first & 7))) & (2 * zero - 1);
    out[i] = (level - zero) * scale[Math.floor(i / width)];
  }
  return out;
}

// The error function to 1.2e-7 (Numerical Recipes, section 6.2: a Chebyshev fit of erfc).
function erf(x) {
  const t = 1 / (1 + Math.abs(x) / 2);
  const terms = [0.17087277, -0.82215223, 1.48851587, -1.13520398, 0.27886807, -0.18628806, 0.09678418, 0.37409196, 1.00002368, -1.26551223];
  const tail = t * Math.exp(-x * x + terms.reduce((sum, term) => sum * t + term, 0));
  return x >= 0 ? 1 - tail : tail - 1;
}

const joined = (x, y) => { const out = new Float32Array(x.length + y.length); out.set(x); out.set(y, x.length); return out; };

// What the steps make of x, one after the other; y is the one-hot label.
const run = (steps, x, y) => steps.reduce((value, step) => STEPS[step.kind](value, step, y), x);

// A step, or a list of steps, with its arrays.
function loaded(buffer, part) {
  if (part === null || typeof part !== "object") return part;
  if (Array.isArray(part)) return part.map((inner) => loaded(buffer, inner));
  if ("at" in part) return Object.assign(arrayOf(buffer, part), { shape: part.shape });
  return Object.fromEntries(Object.entries(part).map(([name, inner]) => [name, loaded(buffer, inner)]));
}

const inflated = (plan) => new Response(new Blob([bytesOf(plan.weights)]).stream().pipeThrough(new DecompressionStream("deflate"))).arrayBuffer();

// Makes a generator from its plan: draw(latents, label) gives pixels in [0, 1], [H, W, C] in a row (or one number).
function loadNet(plan, weights = bytesOf(plan.weights).buffer) {
  const steps = loaded(weights, plan.steps);
  return {
    ...plan,
    draw(latents, label) {
      const x = run(steps, latents, Float32Array.from({ length: plan.labels }, (_, i) => (i === label ? 1 : 0)));
      return plan.tanh ? x.map((value) => (value + 1) / 2) : x;
    },
  };
}

// The largest difference to TensorFlow over the latents that the page carries with TensorFlow's own pixels.
function checkNet(net) {
  const { number, latents, labels, expected } = net.check;
  const z = new Float32Array(bytesOf(latents).buffer), numbers = Array.isArray(expected);
  const wanted = numbers ? expected : bytesOf(expected);
  let worst = 0;
  for (let n = 0, at = 0; n < number; n++) {
    const drawn = net.draw(z.subarray(n * net.latents, (n + 1) * net.latents), labels ? labels[n] : -1);
    for (const value of drawn) {
      const level = numbers ? value : Math.round(Math.min(Math.max(value, 0), 1) * 255);
      worst = Math.max(worst, Math.abs(level - wanted[at++]));
    }
  }
  return worst;
}
