//! Which task comes next.

use hashbrown::HashMap;

use super::{
    Task,
    chain::{Chain, Linked, Links, Slab, Slot},
};
use crate::queue::{Lane, Priority};

/// Ready tasks by priority, lane and age; and for each lane, what else it holds.
#[derive(Debug)]
pub(super) struct Lanes {
    by_lane: HashMap<Lane, Slot>,
    states: Slab<LaneState>,
    classes: [Class; PRIORITIES],
    patience: u32,
}

/// The lanes that have a ready task of one priority, in the order of their turns.
#[derive(Debug)]
struct Class {
    ring: Chain,
    ready: usize,
    passed_over: u32,
}

#[derive(Debug)]
struct LaneState {
    lane: Lane,
    /// How many tasks point here, in whatever state.
    tasks: usize,
    lines: [Chain; PRIORITIES],
    /// The tasks that are in none of the lines.
    rest: Chain,
    turns: [Links; PRIORITIES],
}

impl Linked for LaneState {
    fn links(&mut self, list: usize) -> &mut Links {
        &mut self.turns[list]
    }
}

impl Lanes {
    pub(super) fn new(patience: u32) -> Self {
        Self {
            by_lane: HashMap::new(),
            states: Slab::default(),
            classes: std::array::from_fn(|class| Class {
                ring: Chain::new(class),
                ready: 0,
                passed_over: 0,
            }),
            // With 0 a lower priority that is due would go first every time.
            patience: patience.max(1),
        }
    }

    /// The state of `lane` for one more task, which is not in any line yet.
    pub(super) fn enter(&mut self, lane: Lane) -> Slot {
        let slot = *self.by_lane.entry(lane).or_insert_with(|| {
            self.states.insert(LaneState {
                lane,
                tasks: 0,
                lines: [Chain::new(Task::IN_LANE); PRIORITIES],
                rest: Chain::new(Task::IN_LANE),
                turns: [Links::default(); PRIORITIES],
            })
        });
        self.states[slot].tasks += 1;
        slot
    }

    /// Forgets one task of the lane, which is in none of its lists any more.
    pub(super) fn leave(&mut self, slot: Slot) {
        let state = &mut self.states[slot];
        state.tasks -= 1;
        if state.tasks == 0 {
            self.by_lane.remove(&self.states[slot].lane);
            self.states.remove(slot);
        }
    }

    pub(super) fn lane(&self, slot: Slot) -> Lane {
        self.states[slot].lane
    }

    pub(super) fn find(&self, lane: Lane) -> Option<Slot> {
        self.by_lane.get(&lane).copied()
    }

    /// Any task of the lane.
    pub(super) fn any(&self, lane: Slot) -> Option<Slot> {
        let state = &self.states[lane];
        let mut lists = state.lines.iter().chain([&state.rest]);
        lists.find_map(Chain::front)
    }

    /// Adds a task to the end of its lane's line.
    pub(super) fn line_up(&mut self, tasks: &mut Slab<Task>, task: Slot) {
        let (lane, class) = place(&tasks[task]);
        let line = &mut self.states[lane].lines[class];
        let takes_a_turn = line.is_empty();
        line.push_back(tasks, task);
        self.classes[class].ready += 1;
        if takes_a_turn {
            self.classes[class].ring.push_back(&mut self.states, lane);
        }
    }

    /// Takes a task out of its lane's line.
    pub(super) fn step_out(&mut self, tasks: &mut Slab<Task>, task: Slot) {
        let (lane, class) = place(&tasks[task]);
        let line = &mut self.states[lane].lines[class];
        line.remove(tasks, task);
        let gives_up_its_turn = line.is_empty();
        let class = &mut self.classes[class];
        class.ready -= 1;
        if class.ready == 0 {
            class.passed_over = 0;
        }
        if gives_up_its_turn {
            class.ring.remove(&mut self.states, lane);
        }
    }

    /// Adds a task to those of its lane that are in no line.
    pub(super) fn set_aside(&mut self, tasks: &mut Slab<Task>, task: Slot) {
        let lane = tasks[task].lane;
        self.states[lane].rest.push_back(tasks, task);
    }

    /// Takes a task from those of its lane that are in no line.
    pub(super) fn take_back(&mut self, tasks: &mut Slab<Task>, task: Slot) {
        let lane = tasks[task].lane;
        self.states[lane].rest.remove(tasks, task);
    }

    /// Takes out the task whose turn it is, and moves its lane behind the others.
    pub(super) fn next(&mut self, tasks: &mut Slab<Task>) -> Option<Slot> {
        let class = self.next_class()?;
        let Class { ring, ready, .. } = &mut self.classes[class];
        let lane = ring.pop_front(&mut self.states)?;
        let line = &mut self.states[lane].lines[class];
        let task = line.pop_front(tasks)?;
        *ready -= 1;
        if !line.is_empty() {
            ring.push_back(&mut self.states, lane);
        }
        Some(task)
    }

    /// The highest priority that has been passed over too often, else the highest there is.
    fn next_class(&mut self) -> Option<usize> {
        let mut ready = (0..PRIORITIES).filter(|&class| self.classes[class].ready > 0);
        let highest = ready.next()?;
        let chosen = ready
            .find(|&class| self.classes[class].passed_over >= self.patience)
            .unwrap_or(highest);
        self.classes[chosen].passed_over = 0;
        for lower in &mut self.classes[chosen + 1..] {
            lower.passed_over = lower.passed_over.saturating_add(u32::from(lower.ready > 0));
        }
        Some(chosen)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.by_lane.len()
    }
}

const PRIORITIES: usize = 3;

/// The lane and the class of a task; the highest priority is class 0.
fn place(task: &Task) -> (Slot, usize) {
    let class = match task.priority {
        Priority::High => 0,
        Priority::Normal => 1,
        Priority::Low => 2,
    };
    (task.lane, class)
}
