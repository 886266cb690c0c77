using Garnet;

namespace Aspire.Hosting.Embedded;

/// <summary>
/// Runs Garnet in this process: Lua on, loopback only, with a password, nothing on disk. Port and password come in the environment,
/// so that the password is not in the process list.
/// </summary>
internal static class GarnetVerb
{
    public const string Name = "garnet";
    public const string PortVariable = "AIASPIRE_GARNET_PORT";
    public const string PasswordVariable = "AIASPIRE_GARNET_PASSWORD";

    public static async Task RunAsync()
    {
        using var stop = new ShutdownSignals();
        using var server = new GarnetServer(
        [
            "--bind", "127.0.0.1", "--port", Environment.GetEnvironmentVariable(PortVariable) ?? "6379",
            "--auth", "Password", "--password", Environment.GetEnvironmentVariable(PasswordVariable) ?? "",
            "--lua", "true", "--logger-level", "Warning", "--memory", "128m", "--page", "4m", "--index", "16m", "-q",
        ]);
        server.Start();
        Console.WriteLine("Garnet accepts connections.");
        await stop.Requested;
    }
}
