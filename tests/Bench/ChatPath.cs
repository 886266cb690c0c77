namespace AiAspire.Bench;

/// <summary>A way to the model: the address that is asked, with the key that it takes.</summary>
/// <param name="Name">One of <see cref="Names"/>.</param>
/// <param name="Address">Where chat completions are asked for.</param>
/// <param name="Key">Sent as the bearer token.</param>
internal sealed record ChatPath(string Name, Uri Address, string Key)
{
    public const string Direct = "direct";
    public const string Yarp = "YARP";
    public const string Api = "Api";

    /// <summary>In the order in which they are measured.</summary>
    public static IReadOnlyList<string> Names { get; } = [Direct, Yarp, Api];

    public static ChatPath To(string name, Uri server, string key) => new(name, new Uri(server, "/v1/chat/completions"), key);
}
