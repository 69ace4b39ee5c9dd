// The network: weights from the page's data, and one time step of each cell. The equations and the order of the gates
// are those of torch.nn.RNN, GRU and LSTM.
import { padded, Products } from "./products.js";

const sigmoid = (x) => 1 / (1 + Math.exp(-x));

// Each function reads the pre-activations of all gates, the share of the input (x) and that of the hidden state (h)
// apart, and overwrites the state.
const STEPS = {
  RNN_TANH(x, h, size, state) {
    for (let j = 0; j < size; j++) state.hidden[j] = Math.tanh(x[j] + h[j]);
  },
  RNN_RELU(x, h, size, state) {
    for (let j = 0; j < size; j++) state.hidden[j] = Math.max(0, x[j] + h[j]);
  },
  GRU(x, h, size, state) {
    for (let j = 0; j < size; j++) {
      const reset = sigmoid(x[j] + h[j]);
      const update = sigmoid(x[size + j] + h[size + j]);
      const candidate = Math.tanh(x[2 * size + j] + reset * h[2 * size + j]);
      state.hidden[j] = (1 - update) * candidate + update * state.hidden[j];
    }
  },
  LSTM(x, h, size, state) {
    for (let j = 0; j < size; j++) {
      const input = sigmoid(x[j] + h[j]);
      const forget = sigmoid(x[size + j] + h[size + j]);
      const candidate = Math.tanh(x[2 * size + j] + h[2 * size + j]);
      const output = sigmoid(x[3 * size + j] + h[3 * size + j]);
      state.cell[j] = forget * state.cell[j] + input * candidate;
      state.hidden[j] = output * Math.tanh(state.cell[j]);
    }
  },
};
const GATES = { RNN_TANH: 1, RNN_RELU: 1, GRU: 3, LSTM: 4 };

export class Network {
  // shape: cell, vocabulary, hidden, layers, embedding (null for one-hot input); read(name): the tensor's values.
  static async create(shape, read, wasmBytes) {
    const gates = GATES[shape.cell] * shape.hidden, width = padded(shape.hidden);
    const inputs = shape.embedding ?? shape.vocabulary;
    const floats = padded(shape.vocabulary * gates) + shape.layers * (2 * padded(gates * width) + 4 * padded(gates)) +
      padded(gates * padded(inputs)) + 2 * padded(padded(inputs)) + (shape.layers + 1) * width +
      padded(shape.vocabulary * width) + 2 * padded(shape.vocabulary);
    const network = new Network(shape, await Products.create(floats, wasmBytes));
    network.load(read);
    return network;
  }

  constructor(shape, products) {
    Object.assign(this, shape, { products, gates: GATES[shape.cell] * shape.hidden, width: padded(shape.hidden) });
    this.stepOfCell = STEPS[shape.cell];
  }

  load(read) {
    const { products, gates, width } = this;
    const vector = (name, size) => {
      const array = products.allocate(size), values = read(name);
      if (values) array.set(values);
      return array;
    };
    const matrix = (name, rows, columns) => {
      const array = products.allocate(rows * padded(columns)), values = read(name);
      for (let r = 0; r < rows; r++) array.set(values.subarray(r * columns, (r + 1) * columns), r * padded(columns));
      return array;
    };
    this.layerWeights = Array.from({ length: this.layers }, (_, l) => ({
      hidden: matrix(`layer.weight_hh_l${l}`, gates, this.hidden),
      hiddenBias: vector(`layer.bias_hh_l${l}`, gates),
      input: l ? matrix(`layer.weight_ih_l${l}`, gates, this.hidden) : null,
      inputBias: vector(`layer.bias_ih_l${l}`, gates),
      fromInput: products.allocate(gates),
      fromHidden: products.allocate(gates),
    }));
    this.makeTable(matrix, read);
    this.x = Array.from({ length: this.layers }, () => products.allocate(width)); // the hidden state of each layer
    this.outputWeights = matrix("output.weight", this.vocabulary, this.hidden);
    this.outputBias = vector("output.bias", this.vocabulary);
    this.logits = products.allocate(this.vocabulary);
  }

  // Row v: the share of token v in the pre-activations of the first layer, so that no input is ever multiplied.
  makeTable(matrix, read) {
    const { gates, vocabulary, embedding, products } = this;
    const inputs = embedding ?? vocabulary, weights = read("layer.weight_ih_l0"), bias = this.layerWeights[0].inputBias;
    this.table = products.allocate(vocabulary * gates);
    for (let v = 0; v < vocabulary; v++) this.table.set(bias, v * gates);
    if (embedding === null) {
      for (let v = 0; v < vocabulary; v++)
        for (let j = 0; j < gates; j++) this.table[v * gates + j] += weights[j * inputs + v];
      return;
    }
    const rows = matrix("layer.weight_ih_l0", gates, inputs), embeddings = read("embedding.weight");
    const x = products.allocate(padded(inputs));
    for (let v = 0; v < vocabulary; v++) {
      x.set(embeddings.subarray(v * inputs, (v + 1) * inputs));
      const row = this.table.subarray(v * gates, (v + 1) * gates);
      products.multiplyAdd(rows, x, row, gates, padded(inputs));
    }
  }

  beginState() {
    const zeros = () => new Float32Array(this.hidden);
    return Array.from({ length: this.layers }, () => ({
      hidden: zeros(),
      cell: this.cell === "LSTM" ? zeros() : null,
    }));
  }

  // Reads a token, overwrites the state, and returns the logits of the next token, which the next call overwrites.
  step(token, state) {
    const { products, gates, width, hidden } = this;
    this.layerWeights.forEach((layer, l) => {
      let fromInput = layer.fromInput;
      if (l) {
        fromInput.set(layer.inputBias);
        products.multiplyAdd(layer.input, this.x[l - 1], fromInput, gates, width);
      } else {
        fromInput = this.table.subarray(token * gates, (token + 1) * gates);
      }
      this.x[l].set(state[l].hidden);
      layer.fromHidden.set(layer.hiddenBias);
      products.multiplyAdd(layer.hidden, this.x[l], layer.fromHidden, gates, width);
      this.stepOfCell(fromInput, layer.fromHidden, hidden, state[l]);
      this.x[l].set(state[l].hidden); // the input of the next layer
    });
    this.logits.set(this.outputBias);
    products.multiplyAdd(this.outputWeights, this.x[this.layers - 1], this.logits, this.vocabulary, width);
    return this.logits;
  }
}
