namespace AiAspire.Simulator.Wire;

/// <summary>An error body before it takes a company's shape.</summary>
/// <param name="Type">The company's own word, for instance <c>invalid_request_error</c>.</param>
/// <param name="Fault">Its name in the bill and the statistics.</param>
internal sealed record ProviderError(int Status, string Type, string Message, string? Param = null, string? Code = null, string Fault = "refused")
{
    /// <summary>Sent as <c>Retry-After</c> (whole seconds, rounded up) and <c>retry-after-ms</c>.</summary>
    public TimeSpan? RetryAfter { get; init; }
}

/// <summary>Ends a request with an error body.</summary>
internal sealed class ProviderErrorException(ProviderError error) : Exception(error.Message)
{
    public ProviderError Error { get; } = error;
}

/// <summary>Ends a request without a proper response.</summary>
/// <param name="fault">Its name in the bill and the statistics.</param>
/// <param name="resetConnection">False: what was sent stands, and the response ends cleanly.</param>
internal sealed class InjectedFaultException(string fault, bool resetConnection) : Exception(fault)
{
    public string Fault { get; } = fault;

    public bool ResetConnection { get; } = resetConnection;
}
