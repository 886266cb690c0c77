using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace AiAspire.Bench;

/// <summary>
/// The named peer that does the same kind of work: Portkey's gateway from npm, which keeps nothing (no tenants, limits, ledger or
/// messages). It waits 25 ms after the first event of a stream, by its own code. Left out where Node or the registry is missing.
/// </summary>
internal sealed class PortkeyPeer : IAsyncDisposable
{
    public const string Version = "1.15.2";

    // With the server library it asks for by itself, every stream fails.
    private const string Package =
        $$"""{ "private": true, "dependencies": { "@portkey-ai/gateway": "{{Version}}" }, "overrides": { "@hono/node-server": "1.13.8" } }""";

    private static readonly TimeSpan StartTime = TimeSpan.FromSeconds(30);
    private readonly Process _process;

    private PortkeyPeer(Process process, Uri address) => (_process, Address) = (process, address);

    public Uri Address { get; }

    public int ProcessId => _process.Id;

    /// <summary>Says that the provider is OpenAI's wire at <paramref name="upstream"/>.</summary>
    public static IReadOnlyList<(string Name, string Value)> Headers(Uri upstream)
        => [("x-portkey-provider", "openai"), ("x-portkey-custom-host", new Uri(upstream, "/v1").ToString())];

    /// <returns>Null when it cannot be had here; <paramref name="say"/> tells why.</returns>
    public static async Task<PortkeyPeer?> StartAsync(Action<string> say, CancellationToken cancellationToken)
    {
        try
        {
            var folder = Directory.CreateDirectory(Path.Combine(Path.GetTempPath(), $"aiaspire-bench-portkey-{Version}")).FullName;
            var server = Path.Combine(folder, "node_modules", "@portkey-ai", "gateway", "build", "start-server.js");
            if (!File.Exists(server))
            {
                say("Fetching Portkey's gateway with npm.");
                await File.WriteAllTextAsync(Path.Combine(folder, "package.json"), Package, cancellationToken);
                using var install = Start("npm", folder, "install", "--no-audit", "--no-fund", "--silent");
                await install.WaitForExitAsync(cancellationToken);
            }

            var port = FreePort();
            var process = Start("node", folder, server, "--headless", $"--port={port}");
            var address = new Uri($"http://127.0.0.1:{port}");
            await ListensAsync(process, port, cancellationToken);
            return new PortkeyPeer(process, address);
        }
        catch (Exception e) when (e is System.ComponentModel.Win32Exception or InvalidOperationException)
        {
            say($"Without Portkey's gateway: {e.Message}");
            return null;
        }
    }

    public async ValueTask DisposeAsync()
    {
        _process.Kill(entireProcessTree: true);
        await _process.WaitForExitAsync(CancellationToken.None);
        _process.Dispose();
    }

    private static Process Start(string program, string folder, params string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments) { UseShellExecute = false, WorkingDirectory = folder, RedirectStandardOutput = true, RedirectStandardError = true };
        var process = Process.Start(start) ?? throw new InvalidOperationException($"{program} did not start.");
        // Left unread, a full pipe would stop it.
        process.OutputDataReceived += static (_, _) => { };
        process.ErrorDataReceived += static (_, _) => { };
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        return process;
    }

    private static async Task ListensAsync(Process process, int port, CancellationToken cancellationToken)
    {
        var start = TimeProvider.System.GetTimestamp();
        while (TimeProvider.System.GetElapsedTime(start) < StartTime)
        {
            if (process.HasExited)
                throw new InvalidOperationException($"its process ended with exit code {process.ExitCode}.");
            using var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
            try
            {
                await socket.ConnectAsync(IPAddress.Loopback, port, cancellationToken);
                return;
            }
            catch (SocketException)
            {
                await Task.Delay(TimeSpan.FromMilliseconds(100), TimeProvider.System, cancellationToken);
            }
        }

        process.Kill();
        throw new InvalidOperationException($"it did not listen within {StartTime.TotalSeconds:0} s.");
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
