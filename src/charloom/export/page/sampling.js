// The settings of sampling that the pages have in common (sampling.html).

const roundNumber = (number) => String(Number(number.toPrecision(4)));

// Shows the temperature and the exponent alpha, 1 / temperature, as one setting: a change of one changes the other.
// Returns a function that returns the temperature; null if both fields are empty.
export function linkTemperature({ temperature, alpha }) {
  let edited = temperature; // the other one is rounded

  function update() {
    const [own, other] = edited === alpha ? [alpha, temperature] : [temperature, alpha];
    const inverse = 1 / own.valueAsNumber; // infinite for 0, NaN for an empty or invalid field
    const hasInverse = inverse > 0 && inverse < Infinity;
    other.value = hasInverse ? roundNumber(inverse) : "";
    alpha.placeholder = own === temperature && inverse === Infinity ? "\u221e" : "1";
    const isWrong = own === alpha && alpha.value !== "" && !hasInverse;
    alpha.setCustomValidity(isWrong ? "The exponent must be above 0." : "");
  }

  for (const field of [temperature, alpha]) {
    field.addEventListener("input", () => {
      edited = field;
      update();
    });
  }
  update();
  return () => {
    if (edited.value === "") return null;
    return edited === alpha ? 1 / alpha.valueAsNumber : temperature.valueAsNumber;
  };
}

// Returns the number in a field; null if it is empty.
export const readNumber = (field) => (field.value === "" ? null : field.valueAsNumber);

// Returns the number of characters to generate: the default for an empty field.
export const readCount = ({ numChars }) => Number(numChars.value || numChars.defaultValue);
