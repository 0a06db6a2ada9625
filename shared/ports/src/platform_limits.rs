//! What the platform refuses. Its local runtime is more generous (a value of 4.3 MB was taken), so the ports refuse it
//! themselves, and a test that passes here passes there.

use crate::{SqlError, Unreachable, Value};

/// Longest text or blob in a database, in bytes (Durable Objects' SQLite and D1).
pub const MAX_VALUE: usize = 2_000_000;
/// Longest SQL statement, in bytes.
pub const MAX_STATEMENT: usize = 100_000;
/// Most bound parameters of a statement.
pub const MAX_PARAMS: usize = 100;
/// Longest message between workers and objects, in bytes.
pub const MAX_FRAME: usize = 32 << 20;

/// A statement can be run as far as its size goes.
///
/// # Errors
/// Names the limit, never the value.
pub fn check_statement(sql: &str, params: &[Value]) -> Result<(), SqlError> {
    if sql.len() > MAX_STATEMENT {
        return Err(SqlError(format!("a statement of {} bytes, at most {MAX_STATEMENT} are allowed", sql.len())));
    }
    if params.len() > MAX_PARAMS {
        return Err(SqlError(format!("{} parameters, at most {MAX_PARAMS} are allowed", params.len())));
    }
    match params.iter().map(size).find(|size| *size > MAX_VALUE) {
        Some(size) => Err(SqlError(format!("a value of {size} bytes, at most {MAX_VALUE} are allowed"))),
        None => Ok(()),
    }
}

/// A frame can be carried.
///
/// # Errors
/// Names the limit.
pub fn check_frame(frame: &[u8]) -> Result<(), Unreachable> {
    if frame.len() > MAX_FRAME {
        return Err(Unreachable(format!("a frame of {} bytes, at most {MAX_FRAME} are allowed", frame.len())));
    }
    Ok(())
}

fn size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Int(_) | Value::Real(_) => 0,
        Value::Text(text) => text.len(),
        Value::Blob(bytes) => bytes.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_FRAME, MAX_PARAMS, MAX_STATEMENT, MAX_VALUE, check_frame, check_statement};
    use crate::Value;

    #[test]
    fn what_is_as_large_as_allowed_passes_and_one_more_does_not() {
        let value = |size| [Value::Text("x".repeat(size))];
        assert!(check_statement("SELECT ?", &value(MAX_VALUE)).is_ok());
        assert!(check_statement("SELECT ?", &value(MAX_VALUE + 1)).is_err());
        assert!(check_statement("SELECT ?", &[Value::Blob(vec![0; MAX_VALUE + 1])]).is_err());
        assert!(check_statement("", &vec![Value::Null; MAX_PARAMS]).is_ok());
        assert!(check_statement("", &vec![Value::Null; MAX_PARAMS + 1]).is_err());
        assert!(check_statement(&" ".repeat(MAX_STATEMENT), &[]).is_ok());
        assert!(check_statement(&" ".repeat(MAX_STATEMENT + 1), &[]).is_err());
        assert!(check_frame(&vec![0; MAX_FRAME]).is_ok());
        assert!(check_frame(&vec![0; MAX_FRAME + 1]).is_err());
    }
}
