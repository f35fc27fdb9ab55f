package example;

import com.google.protobuf.ByteString;
import inference.GRPCInferenceServiceGrpc;
import inference.GRPCInferenceServiceGrpc.GRPCInferenceServiceBlockingStub;
import inference.GrpcService.InferTensorContents;
import inference.GrpcService.ModelInferRequest;
import inference.GrpcService.ModelInferRequest.InferInputTensor;
import inference.GrpcService.ModelInferResponse;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.StatusRuntimeException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import modelmill.v1.ModelRegistryGrpc;
import modelmill.v1.ModelRegistryGrpc.ModelRegistryBlockingStub;
import modelmill.v1.Registry.GetModelRequest;
import modelmill.v1.Registry.LabelTarget;

/**
 * Lists a model's versions, asks it about handwritten digits, and shows what a refusal looks like.
 *
 * <p>Usage: MILL_API_KEY=... java -cp 'target/classes:target/lib/*' example.Infer [host:port] [model]
 */
public final class Infer {
  /** A call without a deadline waits for as long as the server takes. */
  private static final long DEADLINE_SECONDS = 10;

  /** Two pictures of 8 by 8 pixels from 0 to 16: a 0 and a 1. */
  private static final List<Float> ZERO =
      pixels(
          0, 0, 5, 13, 9, 1, 0, 0,
          0, 0, 13, 15, 10, 15, 5, 0,
          0, 3, 15, 2, 0, 11, 8, 0,
          0, 4, 12, 0, 0, 8, 8, 0,
          0, 5, 8, 0, 0, 9, 8, 0,
          0, 4, 11, 0, 1, 12, 7, 0,
          0, 2, 14, 5, 10, 12, 0, 0,
          0, 0, 6, 13, 10, 0, 0, 0);

  private static final List<Float> ONE =
      pixels(
          0, 0, 0, 12, 13, 5, 0, 0,
          0, 0, 0, 11, 16, 9, 0, 0,
          0, 0, 3, 15, 16, 6, 0, 0,
          0, 7, 15, 16, 16, 2, 0, 0,
          0, 0, 1, 16, 16, 3, 0, 0,
          0, 0, 1, 16, 16, 6, 0, 0,
          0, 0, 1, 16, 16, 6, 0, 0,
          0, 0, 0, 11, 16, 10, 0, 0);

  public static void main(String[] args) throws InterruptedException {
    String address = args.length > 0 ? args[0] : "127.0.0.1:8081";
    String model = args.length > 1 ? args[1] : "digits";
    ApiKey key = new ApiKey(System.getenv("MILL_API_KEY"));
    ManagedChannel channel = Grpc.newChannelBuilder(address, InsecureChannelCredentials.create()).build();
    try {
      listVersions(ModelRegistryGrpc.newBlockingStub(channel).withCallCredentials(key), model);
      var inference = GRPCInferenceServiceGrpc.newBlockingStub(channel).withCallCredentials(key);
      inferTyped(inference, model);
      inferRaw(inference, model);
      showRefusal(inference, model);
    } finally {
      channel.shutdownNow().awaitTermination(5, TimeUnit.SECONDS);
    }
  }

  private static void listVersions(ModelRegistryBlockingStub registry, String model) {
    var found =
        registry
            .withDeadlineAfter(DEADLINE_SECONDS, TimeUnit.SECONDS)
            .getModel(GetModelRequest.newBuilder().setModel(model).build())
            .getModel();
    for (var version : found.getVersionsList()) {
      String state = version.getState().name().replace("VERSION_STATE_", "").toLowerCase(Locale.ROOT);
      System.out.printf(
          "version %s: %s, %d bytes, %s%n",
          version.getVersion(), state, version.getSizeBytes(), version.getLineage().getMethod());
    }
    for (var label : found.getLabelsList()) {
      String versions =
          label.getTargetsList().stream().map(LabelTarget::getVersion).collect(Collectors.joining(", "));
      System.out.printf("label %s: version %s%n", label.getName(), versions);
    }
  }

  /** Numbers in the field that fits the datatype: simplest to write. */
  private static void inferTyped(GRPCInferenceServiceBlockingStub inference, String model) {
    var contents = InferTensorContents.newBuilder().addAllFp32Contents(ZERO);
    var request =
        ModelInferRequest.newBuilder()
            .setModelName(model)
            .addInputs(input(1, 64).setContents(contents))
            .build();
    printDigits("typed", ask(inference, request));
  }

  /** Little-endian bytes, one entry per input: fastest. Here two pictures in one request. */
  private static void inferRaw(GRPCInferenceServiceBlockingStub inference, String model) {
    ByteBuffer raw = ByteBuffer.allocate(2 * 64 * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    Stream.of(ZERO, ONE).flatMap(List::stream).forEach(raw::putFloat);
    var request =
        ModelInferRequest.newBuilder()
            .setModelName(model)
            .addInputs(input(2, 64))
            .addRawInputContents(ByteString.copyFrom(raw.flip()))
            .build();
    printDigits("raw", ask(inference, request));
  }

  /** A shape that the model does not take: the status says what to do, the message says what is wrong. */
  private static void showRefusal(GRPCInferenceServiceBlockingStub inference, String model) {
    var contents = InferTensorContents.newBuilder().addAllFp32Contents(ZERO.subList(0, 63));
    var request =
        ModelInferRequest.newBuilder()
            .setModelName(model)
            .addInputs(input(1, 63).setContents(contents))
            .build();
    try {
      ask(inference, request);
    } catch (StatusRuntimeException refusal) {
      var status = refusal.getStatus();
      System.out.printf("refused: %s: %s%n", status.getCode(), status.getDescription());
    }
  }

  private static ModelInferResponse ask(GRPCInferenceServiceBlockingStub inference, ModelInferRequest request) {
    return inference.withDeadlineAfter(DEADLINE_SECONDS, TimeUnit.SECONDS).modelInfer(request);
  }

  private static InferInputTensor.Builder input(long rows, long columns) {
    return InferInputTensor.newBuilder().setName("input").setDatatype("FP32").addShape(rows).addShape(columns);
  }

  /** Answers come as raw bytes, whatever form the question had: one entry per output, in their order. */
  private static void printDigits(String form, ModelInferResponse answer) {
    int at =
        IntStream.range(0, answer.getOutputsCount())
            .filter(i -> answer.getOutputs(i).getName().equals("probabilities"))
            .findFirst()
            .orElseThrow();
    int rows = (int) answer.getOutputs(at).getShape(0);
    int classes = (int) answer.getOutputs(at).getShape(1);
    ByteBuffer raw = answer.getRawOutputContents(at).asReadOnlyByteBuffer().order(ByteOrder.LITTLE_ENDIAN);
    FloatBuffer probabilities = raw.asFloatBuffer();
    for (int row = 0; row < rows; row++) {
      int best = row * classes;
      for (int i = row * classes; i < (row + 1) * classes; i++) {
        if (probabilities.get(i) > probabilities.get(best)) best = i;
      }
      System.out.printf(
          Locale.ROOT,
          "%s: version %s sees a %d with probability %.4f%n",
          form, answer.getModelVersion(), best - row * classes, probabilities.get(best));
    }
  }

  private static List<Float> pixels(int... values) {
    return IntStream.of(values).mapToObj(value -> (float) value).toList();
  }
}
