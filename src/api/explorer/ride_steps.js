// The operations of a ride, in their order. Those that the document does not have are left out.

export const RIDE = [
  ...["create_quote", "set_availability", "report_location", "request_trip", "get_profile", "accept_offer", "arrive_at_pickup"],
  ...["get_trip", "start_trip", "complete_trip", "get_receipt", "get_payment", "tip_driver"],
];
