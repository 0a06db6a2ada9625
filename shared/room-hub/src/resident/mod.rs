//! What the room does for users of servers that are not in it: they join, leave and knock through this one.

mod answer;
mod condition;
mod elsewhere;
mod hand_over;
mod template;
