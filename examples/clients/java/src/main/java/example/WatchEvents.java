package example;

import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.util.concurrent.TimeUnit;
import modelmill.v1.EventsGrpc;
import modelmill.v1.EventsGrpc.EventsBlockingStub;
import modelmill.v1.EventsOuterClass.SubscribeRequest;

/**
 * Prints every time a model becomes ready, from the first one that is kept on, until it is interrupted.
 *
 * <p>A broken connection loses nothing: the next subscription begins after the last event seen.
 *
 * <p>Usage: MILL_API_KEY=... java -cp 'target/classes:target/lib/*' example.WatchEvents [host:port] [filter]
 */
public final class WatchEvents {
  /** 0: before the first event that is kept. To hear only of what is new, leave after_sequence unset at first. */
  private long last = 0;

  private final EventsBlockingStub events;
  private final String filter;

  private WatchEvents(EventsBlockingStub events, String filter) {
    this.events = events;
    this.filter = filter;
  }

  public static void main(String[] args) throws InterruptedException {
    String address = args.length > 0 ? args[0] : "127.0.0.1:8081";
    String filter = args.length > 1 ? args[1] : "model.*.*.ready";
    ApiKey key = new ApiKey(System.getenv("MILL_API_KEY"));
    // A watcher may hear nothing for hours: pings find out whether the other side is still there.
    ManagedChannel channel =
        Grpc.newChannelBuilder(address, InsecureChannelCredentials.create())
            .keepAliveTime(30, TimeUnit.SECONDS)
            .build();
    // No deadline: a subscription has no end. While there is no connection, it waits for one.
    var stub = EventsGrpc.newBlockingStub(channel).withCallCredentials(key).withWaitForReady();
    new WatchEvents(stub, filter).watch();
  }

  private void watch() throws InterruptedException {
    while (true) {
      try {
        subscribe();
      } catch (StatusRuntimeException error) {
        if (!isBroken(error.getStatus())) throw error;
        System.err.printf("connection lost after #%d: %s%n", last, error.getStatus().getCode());
      }
      Thread.sleep(500);
    }
  }

  private void subscribe() {
    var request = SubscribeRequest.newBuilder().addFilters(filter).setAfterSequence(last).build();
    events
        .subscribe(request)
        .forEachRemaining(
            answer -> {
              var event = answer.getEvent();
              last = event.getSequence();
              var data = event.getData().getFieldsMap();
              System.out.printf(
                  "#%d model %s version %s is ready%n",
                  last, data.get("model").getStringValue(), data.get("version").getStringValue());
            });
  }

  /** The gateway is away, or shut down and hung up. Anything else will not go away by itself. */
  private static boolean isBroken(Status status) {
    return status.getCode() == Status.Code.UNAVAILABLE || status.getCode() == Status.Code.CANCELLED;
  }
}
