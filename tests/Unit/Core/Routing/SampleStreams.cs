namespace AiAspire.Unit.CoreTests.Routing;

/// <summary>A request for a stream, and the events of one.</summary>
internal static class SampleStreams
{
    public const string Streaming = """{"model":"one-model","stream":true,"messages":[{"role":"user","content":"Say hello to the world, please."}]}""";
    public const string Opening = """{"id":"c","model":"v","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}""";
    public const string Hello = """{"id":"c","model":"v","choices":[{"index":0,"delta":{"content":"Hello there"},"finish_reason":null}]}""";
    public const string Stop = """{"id":"c","model":"v","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}""";
    public const string Usage = """{"id":"c","model":"v","choices":[],"usage":{"prompt_tokens":11,"completion_tokens":3}}""";
}
