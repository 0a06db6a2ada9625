//! R2 without the platform.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
};

use tern_storage::media::{ObjectError, Objects, Opened, PART};

use crate::executor::yield_once;

/// Billed operations so far: class A writes and lists, class B reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Operations {
    /// Puts, lists, and each step of a multipart upload.
    pub a: u64,
    /// Gets.
    pub b: u64,
}

/// A bucket in memory. What R2 would refuse is an error here too.
#[derive(Default)]
pub struct Bucket {
    objects: RefCell<BTreeMap<String, (Vec<u8>, String)>>,
    operations: Cell<Operations>,
    steps: Cell<u64>,
    /// The step, counted from 1 and from now on, that does not happen, nor any after it: a crash.
    pub crash_at: Cell<Option<u64>>,
}

/// Parts that are not an object yet.
#[derive(Default)]
pub struct Upload {
    key: String,
    parts: Vec<Vec<u8>>,
}

impl Bucket {
    /// The keys, sorted.
    pub fn keys(&self) -> Vec<String> {
        self.objects.borrow().keys().cloned().collect()
    }

    /// Operations since this was last asked.
    pub fn take_operations(&self) -> Operations {
        self.operations.take()
    }

    async fn step(&self, a: u64, b: u64) -> Result<(), ObjectError> {
        yield_once().await;
        self.steps.set(self.steps.get() + 1);
        if self.crash_at.get().is_some_and(|at| self.steps.get() >= at) {
            return Err(ObjectError("crashed".to_owned()));
        }
        let done = self.operations.get();
        self.operations.set(Operations { a: done.a + a, b: done.b + b });
        Ok(())
    }
}

impl Objects for &Bucket {
    type Upload = Upload;
    type Body = Vec<u8>;

    async fn put(&self, key: &str, bytes: Vec<u8>, content_type: &str) -> Result<(), ObjectError> {
        self.step(1, 0).await?;
        self.objects.borrow_mut().insert(key.to_owned(), (bytes, content_type.to_owned()));
        Ok(())
    }

    async fn begin(&self, key: &str) -> Result<Upload, ObjectError> {
        self.step(1, 0).await?;
        Ok(Upload { key: key.to_owned(), parts: Vec::new() })
    }

    async fn add(&self, upload: &mut Upload, bytes: Vec<u8>) -> Result<(), ObjectError> {
        self.step(1, 0).await?;
        if upload.parts.last().is_some_and(|last| last.len() != PART) {
            return Err(ObjectError("only the last part may be shorter".to_owned()));
        }
        upload.parts.push(bytes);
        Ok(())
    }

    async fn complete(&self, upload: Upload) -> Result<(), ObjectError> {
        self.step(1, 0).await?;
        self.objects.borrow_mut().insert(upload.key, (upload.parts.concat(), String::new()));
        Ok(())
    }

    async fn abandon(&self, _upload: Upload) -> Result<(), ObjectError> {
        self.step(0, 0).await
    }

    async fn open(&self, key: &str, span: Option<(u64, u64)>) -> Result<Option<Opened<Vec<u8>>>, ObjectError> {
        self.step(0, 1).await?;
        let objects = self.objects.borrow();
        let Some((bytes, content_type)) = objects.get(key) else { return Ok(None) };
        let (first, end) = span.map_or((0, bytes.len()), |(first, last)| (position(first), position(last) + 1));
        let body = bytes.get(first..end).ok_or_else(|| ObjectError("beyond the end".to_owned()))?.to_vec();
        Ok(Some(Opened { body, size: bytes.len() as u64, content_type: content_type.clone() }))
    }

    fn wrap(&self, before: Vec<u8>, body: Vec<u8>, after: Vec<u8>) -> Result<Vec<u8>, ObjectError> {
        Ok([before, body, after].concat())
    }

    async fn read(&self, key: &str) -> Result<Option<Vec<u8>>, ObjectError> {
        self.step(0, 1).await?;
        Ok(self.objects.borrow().get(key).map(|(bytes, _)| bytes.clone()))
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, ObjectError> {
        self.step(1, 0).await?;
        Ok(self.keys().into_iter().filter(|key| key.starts_with(prefix)).collect())
    }

    async fn delete(&self, keys: Vec<String>) -> Result<(), ObjectError> {
        self.step(0, 0).await?;
        self.objects.borrow_mut().retain(|key, _| !keys.contains(key));
        Ok(())
    }
}

fn position(at: u64) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}
