import type { Scalar } from "../store/question.ts";

/*
 * Statements about many rows at once: each parameter is an array, one row of the arrays a row.
 *
 * Arrays are taken apart in the select list. In FROM, Postgres would store each array's elements before it lays them side by
 * side: 5 us an array, more than the row itself. One row alone travels without arrays, by a statement of its own: that is
 * what a caller gets who waits for each answer (measured: half of what is left).
 */

/** A statement about rows, with its values. */
export interface RowStatement {
  readonly name: string;
  readonly text: string;
  readonly values: readonly (Scalar | readonly Scalar[])[];
}

/**
 * @param name of the statement
 * @param columns of the rows, each as "name type"
 * @param text of the statement, made of the sub-select that gives the rows
 * @returns the statement for columns of values, all equally long
 */
export function rowStatement(
  name: string,
  columns: readonly string[],
  text: (rows: string) => string,
): (values: readonly (readonly Scalar[])[]) => RowStatement {
  const select = (expression: (parameter: string, type: string) => string) => {
    const list = columns.map((column, i) => {
      const [alias = "", type = ""] = column.split(" ");
      return `${expression(`$${i + 1}`, type)} as ${alias}`;
    });
    return text(`(select ${list.join(", ")})`);
  };
  const many = select((parameter, type) => `unnest(${parameter}::${type}[])`);
  const one = select((parameter, type) => `${parameter}::${type}`);
  return (values) => {
    if (values[0]?.length !== 1) return { name, text: many, values };
    return { name: `${name}-one`, text: one, values: values.map(([value = ""]) => value) };
  };
}
