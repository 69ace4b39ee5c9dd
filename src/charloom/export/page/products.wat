;; The product of a matrix and a vector, the only code that must be fast. products.wasm is this file, assembled:
;; wat2wasm products.wat
(module
  (memory (export "memory") 1)
  ;; result[r] += sum over k of weights[r * columns + k] * x[k]. Addresses in bytes; columns is a multiple of 16.
  (func (export "multiplyAdd")
    (param $weights i32) (param $x i32) (param $result i32) (param $rows i32) (param $columns i32)
    (local $end i32) (local $row_end i32) (local $at i32)
    (local $a v128) (local $b v128) (local $c v128) (local $d v128)
    (local.set $end (i32.add (local.get $result) (i32.shl (local.get $rows) (i32.const 2))))
    (block $done
      (loop $each_row
        (br_if $done (i32.ge_u (local.get $result) (local.get $end)))
        (local.set $row_end (i32.add (local.get $weights) (i32.shl (local.get $columns) (i32.const 2))))
        (local.set $at (local.get $x))
        (local.set $a (v128.const f32x4 0 0 0 0))
        (local.set $b (v128.const f32x4 0 0 0 0))
        (local.set $c (v128.const f32x4 0 0 0 0))
        (local.set $d (v128.const f32x4 0 0 0 0))
        (block $row_done
          (loop $each_column
            (br_if $row_done (i32.ge_u (local.get $weights) (local.get $row_end)))
            (local.set $a (f32x4.add (local.get $a)
              (f32x4.mul (v128.load (local.get $weights)) (v128.load (local.get $at)))))
            (local.set $b (f32x4.add (local.get $b)
              (f32x4.mul (v128.load offset=16 (local.get $weights)) (v128.load offset=16 (local.get $at)))))
            (local.set $c (f32x4.add (local.get $c)
              (f32x4.mul (v128.load offset=32 (local.get $weights)) (v128.load offset=32 (local.get $at)))))
            (local.set $d (f32x4.add (local.get $d)
              (f32x4.mul (v128.load offset=48 (local.get $weights)) (v128.load offset=48 (local.get $at)))))
            (local.set $weights (i32.add (local.get $weights) (i32.const 64)))
            (local.set $at (i32.add (local.get $at) (i32.const 64)))
            (br $each_column)))
        (local.set $a (f32x4.add
          (f32x4.add (local.get $a) (local.get $b)) (f32x4.add (local.get $c) (local.get $d))))
        (f32.store (local.get $result) (f32.add (f32.load (local.get $result))
          (f32.add
            (f32.add (f32x4.extract_lane 0 (local.get $a)) (f32x4.extract_lane 1 (local.get $a)))
            (f32.add (f32x4.extract_lane 2 (local.get $a)) (f32x4.extract_lane 3 (local.get $a))))))
        (local.set $result (i32.add (local.get $result) (i32.const 4)))
        (br $each_row)))))
