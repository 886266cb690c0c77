namespace AiAspire.Bench;

/// <summary>A way to the model: the address that is asked, with the key that it takes.</summary>
/// <param name="Name">One of <see cref="Names"/>.</param>
/// <param name="Address">Where chat completions are asked for.</param>
/// <param name="Key">Sent as the bearer token.</param>
/// <param name="Headers">What else the path must be told.</param>
internal sealed record ChatPath(string Name, Uri Address, string Key, IReadOnlyList<(string Name, string Value)> Headers)
{
    public const string Direct = "direct";
    public const string Yarp = "YARP";
    public const string Portkey = "Portkey";
    public const string Api = "Api";

    /// <summary>In the order in which they are measured.</summary>
    public static IReadOnlyList<string> Names { get; } = [Direct, Yarp, Portkey, Api];

    public static ChatPath To(string name, Uri server, string key, params IReadOnlyList<(string Name, string Value)> headers)
        => new(name, new Uri(server, "/v1/chat/completions"), key, headers);
}
