//! The dialogue with the program that started the scenario: lines of JSON.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, Lines, Stdin, stdin};

pub struct Stage {
    answers: Lines<BufReader<Stdin>>,
}

impl Stage {
    pub fn new() -> Self {
        Self { answers: BufReader::new(stdin()).lines() }
    }

    /// Tells that a claim was seen to hold.
    pub fn shown(&self, claim: &str) {
        println!("{}", json!({ "shown": claim }));
    }

    pub fn tell(&self, answer: &Value) {
        println!("{answer}");
    }

    /// What the other side says next; nothing at its end.
    pub async fn next(&mut self) -> Result<Option<Value>> {
        let line = self.answers.next_line().await?;
        Ok(line.map(|line| serde_json::from_str(&line)).transpose()?)
    }

    /// Asks for something only the other side can do and waits until it says it is done.
    pub async fn ask(&mut self, what: &str, with: Value) -> Result<Value> {
        println!("{}", json!({ "ask": what, "with": with }));
        let answer = self.next().await?.context("the other side went away")?;
        ensure!(answer["done"] == what, "asked for {what}, got {answer}");
        Ok(answer)
    }
}

/// Names something that must never be seen in a log of the server.
pub fn secret(value: &str) {
    println!("{}", json!({ "secret": value }));
}
