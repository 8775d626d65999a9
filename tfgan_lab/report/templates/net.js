// Runs an exported generator. A net is a list of steps (dense, activation, scale_shift, layer_norm, image_norm, concat,
// to_image, conv_transpose) over named registers and one block of weights; report/browser_net.py writes both.
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

const ACTIVATIONS = {
  relu: (x) => Math.max(x, 0),
  leaky_relu: (x, slope) => (x > 0 ? x : slope * x),
  elu: (x) => (x > 0 ? x : Math.expm1(x)),
  gelu: (x) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  tanh: Math.tanh,
};

const STEPS = {
  concat: (parts) => Float32Array.from(parts.flatMap((part) => [...part])),

  dense(x, { kernel, bias }) {  // kernel [out, in]
    const out = new Float32Array(bias.length), width = x.length;
    for (let o = 0; o < out.length; o++) {
      let sum = bias[o];
      for (let i = 0, at = o * width; i < width; i++) sum += x[i] * kernel[at + i];
      out[o] = sum;
    }
    return out;
  },

  activation: (x, { name, slope }) => x.map((value) => ACTIVATIONS[name](value, slope)),

  // The last axis holds the channels.
  scale_shift: (x, { scale, shift }) => x.map((value, i) => value * scale[i % scale.length] + shift[i % scale.length]),

  layer_norm(x, { scale, shift, epsilon }) {
    const mean = x.reduce((a, b) => a + b, 0) / x.length;
    const variance = x.reduce((a, b) => a + (b - mean) ** 2, 0) / x.length;
    return x.map((value, i) => ((value - mean) / Math.sqrt(variance + epsilon)) * scale[i] + shift[i]);
  },

  // Each channel by its own mean and variance over the image.
  image_norm(x, { scale, shift, epsilon }) {
    const channels = scale.length, area = x.length / channels, mean = new Float64Array(channels), variance = new Float64Array(channels);
    x.forEach((value, i) => { mean[i % channels] += value / area; });
    x.forEach((value, i) => { variance[i % channels] += (value - mean[i % channels]) ** 2 / area; });
    return x.map((value, i) => ((value - mean[i % channels]) / Math.sqrt(variance[i % channels] + epsilon)) * scale[i % channels] + shift[i % channels]);
  },

  to_image(x, { size, channels }) {  // [C, S, S], as PyTorch has it -> [S, S, C]
    const out = new Float32Array(x.length), area = size * size;
    for (let c = 0; c < channels; c++) for (let p = 0; p < area; p++) out[p * channels + c] = x[c * area + p];
    return out;
  },

  conv_transpose(x, { kernel, bias, shape, stride, padding }) {  // x [S, S, in], kernel [k, k, out, in]
    const [k, , outs, ins] = shape, size = Math.sqrt(x.length / ins), side = (size - 1) * stride + k - 2 * padding;
    const out = new Float32Array(side * side * outs);
    for (let p = 0; p < out.length; p++) out[p] = bias[p % outs];
    for (let row = 0; row < size; row++) for (let column = 0; column < size; column++) {
      const from = (row * size + column) * ins;
      for (let i = 0; i < k; i++) for (let j = 0; j < k; j++) {
        const y = row * stride + i - padding, z = column * stride + j - padding;
        if (y < 0 || y >= side || z < 0 || z >= side) continue;
        const to = (y * side + z) * outs;
        for (let o = 0; o < outs; o++) {
          let sum = 0;
          for (let c = 0, at = ((i * k + j) * outs + o) * ins; c < ins; c++) sum += x[from + c] * kernel[at + c];
          out[to + o] += sum;
        }
      }
    }
    return out;
  },
};

// Makes a generator from its plan: draw(latents, label) gives pixels in [0, 1], [H, W, C] in a row (or one number).
function loadNet(plan) {
  const buffer = bytesOf(plan.weights).buffer;
  const steps = plan.steps.map((step) => {
    const loaded = { ...step };
    for (const name of ["kernel", "bias", "scale", "shift"]) if (step[name]) loaded[name] = arrayOf(buffer, step[name]);
    if (step.kind === "conv_transpose") loaded.shape = step.kernel.shape;
    return loaded;
  });
  return {
    ...plan,
    draw(latents, label) {
      const registers = { z: latents, y: Float32Array.from({ length: plan.labels }, (_, i) => (i === label ? 1 : 0)) };
      for (const step of steps) {
        const input = Array.isArray(step.from) ? step.from.map((name) => registers[name]) : registers[step.from];
        registers[step.to] = STEPS[step.kind](input, step);
      }
      return plan.tanh ? registers.x.map((value) => (value + 1) / 2) : registers.x;
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
