// Generated from `trips::State` by the test `states_js_is_generated` in src/sandbox/console.rs.

/** What each state of a trip means. */
export const STATES = {
  requested: { isOver: false, hasDriver: false, riderInCar: false },
  searching: { isOver: false, hasDriver: false, riderInCar: false },
  offered: { isOver: false, hasDriver: false, riderInCar: false },
  assigned: { isOver: false, hasDriver: true, riderInCar: false },
  arrived: { isOver: false, hasDriver: true, riderInCar: false },
  in_progress: { isOver: false, hasDriver: true, riderInCar: true },
  completed: { isOver: true, hasDriver: false, riderInCar: false },
  cancelled: { isOver: true, hasDriver: false, riderInCar: false },
  no_show: { isOver: true, hasDriver: false, riderInCar: false },
  no_driver: { isOver: true, hasDriver: false, riderInCar: false },
  payment_failed: { isOver: true, hasDriver: false, riderInCar: false },
  aborted: { isOver: true, hasDriver: false, riderInCar: false },
};

/** Whether a trip in this state has ended. */
export const isOver = (state) => STATES[state]?.isOver ?? false;

/** Whether a driver is assigned to a trip in this state. */
export const hasDriver = (state) => STATES[state]?.hasDriver ?? false;

/** Whether the rider of a trip in this state is in the car. */
export const riderInCar = (state) => STATES[state]?.riderInCar ?? false;

/** The number of trips in the states for which `is` holds, of counts by state. */
export const count = (trips, is) =>
  Object.entries(trips).reduce((sum, [state, number]) => sum + (is(state) ? number : 0), 0);
