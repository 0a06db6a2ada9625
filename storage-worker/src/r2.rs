//! `Objects` over the R2 binding.

use futures::{Stream, StreamExt, stream};
use tern_storage::media::{ObjectError, Objects, Opened};
use worker::{
    Bucket, ByteStream, Data, HttpMetadata, MultipartUpload, Range, ResponseBody, ResponseBuilder, UploadedPart,
    console_error,
};

/// The bucket `MEDIA`.
pub(crate) struct Media(pub(crate) Bucket);

/// A multipart upload and the parts it has.
pub(crate) struct Upload {
    upload: MultipartUpload,
    parts: Vec<UploadedPart>,
}

impl Objects for Media {
    type Upload = Upload;
    type Body = ResponseBody;

    async fn put(&self, key: &str, bytes: Vec<u8>, content_type: &str) -> Result<(), ObjectError> {
        let metadata = HttpMetadata { content_type: Some(content_type.to_owned()), ..HttpMetadata::default() };
        let put = self.0.put(key, Data::Bytes(bytes)).http_metadata(metadata);
        put.execute().await.map(|_| ()).map_err(refused)
    }

    async fn begin(&self, key: &str) -> Result<Upload, ObjectError> {
        let upload = self.0.create_multipart_upload(key).execute().await.map_err(refused)?;
        Ok(Upload { upload, parts: Vec::new() })
    }

    async fn add(&self, upload: &mut Upload, bytes: Vec<u8>) -> Result<(), ObjectError> {
        let number = u16::try_from(upload.parts.len() + 1).map_err(|_| ObjectError("too many parts".to_owned()))?;
        let part = upload.upload.upload_part(number, Data::Bytes(bytes)).await.map_err(refused)?;
        upload.parts.push(part);
        Ok(())
    }

    async fn complete(&self, upload: Upload) -> Result<(), ObjectError> {
        upload.upload.complete(upload.parts).await.map(|_| ()).map_err(refused)
    }

    async fn abandon(&self, upload: Upload) -> Result<(), ObjectError> {
        upload.upload.abort().await.map_err(refused)
    }

    async fn open(&self, key: &str, span: Option<(u64, u64)>) -> Result<Option<Opened<ResponseBody>>, ObjectError> {
        let mut get = self.0.get(key);
        if let Some((first, last)) = span {
            get = get.range(Range::OffsetWithLength { offset: first, length: last - first + 1 });
        }
        let Some(object) = get.execute().await.map_err(refused)? else { return Ok(None) };
        let content_type = object.http_metadata().content_type.unwrap_or_default();
        let body = object.body().map(|body| body.response_body().map_err(refused)).transpose()?;
        Ok(body.map(|body| Opened { body, size: object.size(), content_type }))
    }

    fn wrap(&self, before: Vec<u8>, body: ResponseBody, after: Vec<u8>) -> Result<ResponseBody, ObjectError> {
        let content = match body {
            ResponseBody::Empty => stream::empty().boxed_local(),
            ResponseBody::Body(bytes) => piece(bytes).boxed_local(),
            ResponseBody::Stream(stream) => ByteStream::from(stream).boxed_local(),
        };
        let all = piece(before).chain(content).chain(piece(after));
        let (_, body) = ResponseBuilder::new().from_stream(all).map_err(refused)?.into_parts();
        Ok(body)
    }

    async fn read(&self, key: &str) -> Result<Option<Vec<u8>>, ObjectError> {
        let object = self.0.get(key).execute().await.map_err(refused)?;
        match object.as_ref().and_then(worker::Object::body) {
            Some(body) => body.bytes().await.map(Some).map_err(refused),
            None => Ok(None),
        }
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, ObjectError> {
        let found = self.0.list().prefix(prefix).execute().await.map_err(refused)?;
        Ok(found.objects().iter().map(worker::Object::key).collect())
    }

    async fn delete(&self, keys: Vec<String>) -> Result<(), ObjectError> {
        self.0.delete_multiple(keys).await.map_err(refused)
    }
}

fn piece(bytes: Vec<u8>) -> impl Stream<Item = worker::Result<Vec<u8>>> {
    stream::once(async { Ok(bytes) })
}

/// Keys are random, so that the message tells nothing of the content.
#[expect(clippy::needless_pass_by_value, reason = "used as a map_err function")]
fn refused(error: worker::Error) -> ObjectError {
    console_error!("MEDIA: {error}");
    ObjectError(error.to_string())
}
