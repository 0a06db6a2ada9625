//! The bucket as the media commands see it.

use std::future::Future;

use tern_model::MatrixError;

/// The bucket failed or cannot be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectError(pub String);

impl From<ObjectError> for MatrixError {
    fn from(_: ObjectError) -> Self {
        Self::unavailable()
    }
}

/// An object, or a part of it, that is about to be read.
pub struct Opened<B> {
    /// The bytes, on their way to the client.
    pub body: B,
    /// Length of the whole object, in bytes.
    pub size: u64,
    /// The type it was written with.
    pub content_type: String,
}

/// An object store: R2, or a map in memory. Each method is one billed operation unless it says otherwise.
pub trait Objects {
    /// A multipart upload that is under way.
    type Upload;
    /// Bytes on their way to the client.
    type Body;

    /// Writes a whole object.
    fn put(&self, key: &str, bytes: Vec<u8>, content_type: &str) -> impl Future<Output = Result<(), ObjectError>>;

    /// Starts a multipart upload.
    fn begin(&self, key: &str) -> impl Future<Output = Result<Self::Upload, ObjectError>>;

    /// Adds a part. All but the last are of the same length.
    fn add(&self, upload: &mut Self::Upload, bytes: Vec<u8>) -> impl Future<Output = Result<(), ObjectError>>;

    /// Makes the object out of the parts. It cannot be seen before.
    fn complete(&self, upload: Self::Upload) -> impl Future<Output = Result<(), ObjectError>>;

    /// Drops the parts; free.
    fn abandon(&self, upload: Self::Upload) -> impl Future<Output = Result<(), ObjectError>>;

    /// Opens an object, or its bytes from the first to the last position; `None` when there is no such object.
    fn open(
        &self,
        key: &str,
        span: Option<(u64, u64)>,
    ) -> impl Future<Output = Result<Option<Opened<Self::Body>>, ObjectError>>;

    /// A body with something before and after it. No operation.
    fn wrap(&self, before: Vec<u8>, body: Self::Body, after: Vec<u8>) -> Result<Self::Body, ObjectError>;

    /// Reads a whole object; `None` when there is no such object.
    fn read(&self, key: &str) -> impl Future<Output = Result<Option<Vec<u8>>, ObjectError>>;

    /// The keys with this prefix, at most 1,000.
    fn list(&self, prefix: &str) -> impl Future<Output = Result<Vec<String>, ObjectError>>;

    /// Deletes objects, at most 1,000; those that are not there do no harm. Free.
    fn delete(&self, keys: Vec<String>) -> impl Future<Output = Result<(), ObjectError>>;
}
