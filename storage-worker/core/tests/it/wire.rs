use tern_model::MatrixError;
use tern_ports::wire::{StorageCommand, frame, storage::LoadUser};
use tern_testkit::{Executor, StorageNode};

use crate::support::user;

#[test]
fn a_frame_of_another_version_or_shape_is_refused_clearly() {
    let node = StorageNode::new();
    let answer = |bytes: &[u8]| frame::read_reply::<()>(&Executor::new().run(node.answer(bytes))).unwrap_err();
    let good = frame::write(&StorageCommand::from(LoadUser { user_id: user("alice") }));
    let newer = [b"999", good.strip_prefix(b"1").unwrap()].concat();
    let refused = answer(&newer);
    assert_eq!(refused.status, 400);
    assert!(refused.message.contains("version 999"), "{refused}");
    for bytes in [&b""[..], b"1\n", b"1\n{\"Unknown\":{}}", b"\xFF", b"1\n{\"LoadUser\":{\"user_id\":7}}"] {
        assert_eq!(answer(bytes).status, 400, "{bytes:?}");
    }
    assert!(node.d1.take_batches().is_empty());
    let read = frame::read_reply::<Option<()>>(&Executor::new().run(node.answer(&good)));
    assert_eq!(read, Ok::<_, MatrixError>(None));
}
